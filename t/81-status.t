# SPDX-License-Identifier: Apache-2.0
# The handler wsgi-status: formats, figures, names as docs/metrics.md has them;
# who sees it, and what nobody sees.
use PWTest;
use PWTest::Server;
use PWTest::Prometheus;

my $own_gil = python_at_least(13);
my $server = PWTest::Server->new(name => 'status', conf => <<'END_CONF');
WSGIScriptAlias /app @DIR@/apps/app.py application-group=app
WSGIScriptAlias /broken @DIR@/apps/broken.py application-group=broken
WSGIScriptAlias /missing @DIR@/apps/missing.py application-group=missing
WSGIScriptAlias /main @DIR@/apps/app.py application-group=%{GLOBAL}
WSGIScriptAlias /own @DIR@/apps/app.py
WSGIScriptAlias /two @DIR@/apps/app.py application-group=two
<WSGIInterpreter two>
    WSGIInstances 2
    WSGIConcurrency 3
</WSGIInterpreter>
<Location /wsgi-status>
    SetHandler wsgi-status
</Location>
<Location /nobody>
    SetHandler wsgi-status
    Require all denied
</Location>
<Directory @DIR@/htdocs>
    AllowOverride All
</Directory>
<Directory @DIR@/htdocs/user>
    WSGIAllowOverride On
</Directory>
<Directory @DIR@/htdocs/dir>
    SetHandler wsgi-status
</Directory>
WSGIScriptAlias /found/ @DIR@/scripts/
END_CONF
$server->app('broken.py', "raise LookupError('SECRET of the exception')\n");
$server->app('app.py', <<'END_APP');
import os
import time

def hold(environ):
    while not os.path.exists(environ["HTTP_X_UNTIL"]):
        time.sleep(0.01)

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if "hold" in path:
        hold(environ)
    if "fail" in path:
        raise KeyError("SECRET of the exception")
    start_response(path[-3:] + " It Is", [("Content-Type", "text/plain")])
    return [b"body"]
END_APP
mkdir "$server->{dir}/$_" for qw(htdocs/user htdocs/dir scripts);
write_text("$server->{dir}/scripts/late.py", read_text("$server->{dir}/apps/app.py"));
write_text("$server->{dir}/htdocs/user/page.html", 'a page');
announce(qr/PW0021/) if !$own_gil || !threaded();
announce(qr/PW0201|PW0202|PW0205|PW0206|PW0401/, qr/AH01630/, qr/PW0135/,
    qr/PW0093|does not exist|cannot be read|missing\.py/);
ok($server->start, 'started');

sub status {
    my ($format, @more) = @_;
    return $server->get("/wsgi-status?format=$format", @more);
}

sub interpreters {
    my $all = $server->get_json('/wsgi-status?format=json');
    return { map { ($_->{name} => $_) } @{ $all->{interpreters} } };
}

# ---- what is served ----

my $html = qr/^<!DOCTYPE html>/;
my $json = qr/^\{"server"/;
my $prom = qr/^# HELP polywsgi_info/;
cases(sub {
    my ($case) = @_;
    my $a = $server->get('/wsgi-status' . ($case->{query} // ''),
        headers => [ $case->{accept} ? (Accept => $case->{accept}) : () ]);
    is($a->{status}, $case->{status} // 200, 'status');
    like($a->{body}, $case->{body}, 'body') if $case->{body};
    is($a->{h}{'content-type'}, $case->{type}, 'type') if $case->{type};
    is($a->{h}{'cache-control'}, 'no-store', 'is not kept') if $case->{body};
}, { name => 'html', query => '?format=html', body => $html,
        type => 'text/html; charset=utf-8' },
    { name => 'json', query => '?format=json', body => $json, type => 'application/json' },
    { name => 'prometheus', query => '?a=b&format=prometheus&c', body => $prom,
        type => 'text/plain; version=0.0.4; charset=utf-8' },
    { name => 'unknown', query => '?format=htmlx', status => 400 },
    { name => 'empty', query => '?format=', status => 400 },
    { name => 'no wish', body => $html },
    { name => 'any', accept => '*/*', body => $html },
    { name => 'a browser', body => $html,
        accept => 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' },
    { name => 'a script', accept => 'application/json', body => $json },
    { name => 'by quality', accept => 'text/html;q=0.2, application/json;q=0.7', body => $json },
    { name => 'not html', accept => 'text/html;q=0, application/json;q=0.1', body => $json },
    { name => 'Prometheus', body => $prom,
        accept => 'application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1' },
    { name => 'the query wins', query => '?format=html', accept => 'application/json',
        body => $html },
    { name => 'nonsense', accept => ';;q=x,,,/', body => $html });

for my $method (qw(POST PUT DELETE OPTIONS)) {
    my $a = $server->request(path => '/wsgi-status', method => $method);
    is($a->{status}, 405, "$method is 405");
}
my $head = $server->request(path => '/wsgi-status?format=json', method => 'HEAD');
is($head->{status}, 200, 'HEAD');
ok($head->{complete} && $head->{body} eq '', 'without a body');

# ---- figures ----

is($server->get("/app/$_")->{status}, $_, "answered $_") for (200) x 5, (404) x 3, 302, 503;
is($server->get('/app/fail?SECRET=query')->{status}, 500, 'an exception') for 1, 2;
is($server->get('/broken/x')->{status}, 500, 'a failed load') for 1 .. 3;
is($server->get('/missing/x')->{status}, 503, 'a missing script');
is($server->get('/main/200')->{status}, 200, 'the main interpreter');
is($server->get('/own/200')->{status}, 200, 'one of its own');

my $of = interpreters();
is_deeply($of->{app}{served},
    { '1xx' => 0, '2xx' => 5, '3xx' => 1, '4xx' => 3, '5xx' => 3 }, 'by class');
is($of->{app}{accepted}, 12, 'accepted');
is($of->{app}{exceptions}, 2, 'exceptions');
is($of->{app}{last_error}, 'PW0401 KeyError', 'the last error, without its message');
is($of->{app}{state}, 'ready', 'ready');
is($of->{app}{instances}[0]{state}, 'READY', 'so is its instance');
is($of->{app}{instances}[0]{served}, 12, 'which has served them');
is_deeply($of->{app}{instances}[0]{answers}, $of->{app}{served}, 'by class as well');
is($of->{app}{instances}[0]{exceptions}, 2, 'with these exceptions');
cmp_ok($of->{app}{instances}[0]{$_}, '>', 0, "and $_") for qw(load_seconds application_seconds);
cmp_ok($of->{app}{instances}[0]{$_}, '>=', 0, $_) for qw(attach_seconds cpu_seconds);
cmp_ok($of->{app}{load_seconds}, '>', 0, 'the load took time');
is($of->{app}{seconds}{$_}{count}, 12, "times of $_") for qw(queue attach application);
is($of->{app}{loads}, $of->{app}{children}, 'loaded once in each child');
is($of->{app}{concurrency_limit},
    $of->{app}{slots} * (threaded() ? 1 : 4), 'the most calls at once');
is($server->get('/two/200')->{status}, 200, 'one of two instances');
ok(wait_for {
    my @all = @{ interpreters()->{two}{instances} };
    grep { $_->{number} == 1 && $_->{state} eq 'READY' } @all;
}, 'the second one is shown when it is there');
my $two = interpreters()->{two};
is($two->{slots}, threaded() ? 6 : 1, 'so many calls at once in one child');
is($two->{concurrency_limit}, $two->{slots} * (threaded() ? 1 : 4), 'and in all');
is($of->{broken}{refused}{load_failed}, 3, 'failed loads are refused');
is($of->{broken}{state}, 'failing', 'and shown');
like($of->{broken}{last_error}, qr/^PW0201 LookupError$/, 'with their error');
is($of->{missing}{refused}{closed}, 1, 'a missing script is another reason');
is($server->get('/found/late.py/200')->{status}, 200, 'a script that a request finds');
is((map { $_->{accepted} } grep { $_->{name} =~ /late\.py$/ } values %{ interpreters() })[0], 1,
    'is counted by its own name');
is((grep { $of->{$_}{isolation} eq 'main' } keys %$of)[0], '%{GLOBAL}',
    'the main interpreter is told apart');
is($of->{app}{isolation}, $own_gil ? 'own-gil' : 'shared-gil', 'isolation');
like($of->{app}{python}, qr/^3\.\d+\.\d+/, 'Python');

subtest 'the page' => sub {
    my $page = status('html')->{body};
    my ($table) = grep { /<th[^>]*>Load</ } $page =~ m{(<table>.*?</table>)}gs;
    my @head = map { s/<[^>]*>//gr } $table =~ m{<th[^>]*>.*?</th>}gs;
    my ($row) = grep { /\bapp\b/ && !/main\.test/ } $table =~ m{<tr>.*?</tr>}gs;
    my @cells = map { s/<[^>]*>//gr } $row =~ m{<t[dh][^>]*>.*?</t[dh]>}gs;
    my %cell;
    @cell{@head} = @cells;
    is($cell{State}, 'READY', 'an instance: its state');
    is($cell{Answered}, 12, 'answered');
    is($cell{'5xx'}, 3, 'of them 5xx');
    is($cell{Exceptions}, 2, 'exceptions');
    like($cell{$_}, qr/\d/, $_) for 'Load', 'In the application', 'CPU';
} if threaded();

my $p = PWTest::Prometheus::parse(status('prometheus')->{body});
is_deeply($p->{errors}, [], 'strictly, it is Prometheus text');
my %expect = (
    'polywsgi_requests_total{code="2xx",interpreter="app"}' => 5,
    'polywsgi_requests_total{code="5xx",interpreter="app"}' => 3,
    'polywsgi_requests_accepted_total{interpreter="app"}' => 12,
    'polywsgi_exceptions_total{interpreter="app"}' => 2,
    'polywsgi_requests_refused_total{interpreter="broken",reason="load_failed"}' => 3,
    'polywsgi_application_seconds_count{interpreter="app"}' => 12,
    'polywsgi_last_load_failed{interpreter="broken"}' => 1,
    'polywsgi_requests_in_flight{interpreter="app"}' => 0,
);
is($p->{samples}{$_}, $expect{$_}, $_) for sort keys %expect;

subtest 'that reader finds faults' => sub {
    my $good = "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n";
    my $hist = "# HELP h H.\n# TYPE h histogram\n";
    is_deeply(PWTest::Prometheus::parse($good)->{errors}, [], 'in this there is none');
    for my $bad ($good . "a_total{b=\"c\"} 2\n", $good . "b 1\n", $good . $good,
        $good =~ s/counter/gauge/r, $good =~ s/"c"/c/r, $good =~ s/ 1$/ one/mr,
        $good =~ s/ 1$/ -1/mr, $good =~ s/"c"/"c"d"/r, $good =~ s/\n\z//r,
        $good . "\n", $hist . "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        $hist . "h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n",
        $hist . "h_bucket{le=\"1\"} 2\nh_sum 1\nh_count 2\n") {
        isnt(scalar @{ PWTest::Prometheus::parse($bad)->{errors} }, 0, $bad =~ s/\n/ | /gr);
    }
};

# ---- other readers ----

subtest 'other readers of the format' => sub {
    write_text("$server->{dir}/scrape", status('prometheus')->{body});
    my $readers = 0;
    if (system('which promtool >/dev/null 2>&1') == 0) {
        my $said = qx(promtool check metrics < $server->{dir}/scrape 2>&1);
        is($?, 0, "promtool: $said");
        $readers++;
    }
    my ($python) = grep { system("$_ -c 'import prometheus_client' >/dev/null 2>&1") == 0 }
        "$ENV{PW_T_VENVS}/web/bin/python", $ENV{PW_T_PYTHON};
    if ($python) {
        my $read = 'import sys, prometheus_client.parser as p;'
            . 'print(sum(1 for f in p.text_string_to_metric_families(sys.stdin.read())))';
        cmp_ok(qx($python -c '$read' < $server->{dir}/scrape), '>', 20,
            'prometheus_client');
        $readers++;
    }
    plan skip_all => 'neither promtool nor prometheus_client is installed' if !$readers;
    done_testing();
};

# ---- names, as documented ----

subtest 'names are those of docs/metrics.md' => sub {
    my $page = read_text("$ENV{PW_T_SRC}/docs/metrics.md");
    my %type = $page =~ /^\| `(polywsgi_\w+)` \| (\w+) \|/mg;
    is_deeply($p->{types}, \%type, 'metrics and their types');
    my %reason = map { ($_ => 1) } keys %{ $of->{app}{refused} };
    like($page, qr/`$_`/, "the reason $_") for sort keys %reason;
    my ($head, $interps, $children) =
        $page =~ /^## JSON\n(.*?)^`interpreters`(.*?)^`children`, each(.*)/ms;
    my $all = $server->get_json('/wsgi-status?format=json');
    my @known = (qw(interpreters children), $head =~ /`(\w+)`/g);
    is_deeply([ sort keys %$all ], [ sort @known ], 'the whole');
    my @rows = $interps =~ /^\| (.*?) \|/mg;
    is_deeply([ sort keys %{ $of->{app} } ], [ sort map { /`(\w+)`/g } @rows ],
        'an interpreter');
    my ($list) = $interps =~ /`instances` \| a list: (.*?) \|/;
    is_deeply([ sort keys %{ $of->{app}{instances}[0] } ], [ sort $list =~ /`(\w+)`/g ],
        'an instance');
    my ($child) = $children =~ /(.*?)`calls`/s;
    is_deeply([ sort keys %{ $all->{children}[0] } ],
        [ sort 'calls', $child =~ /`(\w+)`/g ], 'a child');
};

# ---- what is running ----

subtest 'a request in flight' => sub {
    plan skip_all => 'one process serves one request' if !threaded();
    my $go = "$server->{dir}/var/go";
    my @conns = map { $server->connect } 1, 2;
    my $n = 0;
    $_->send(PWTest::HTTP::head(path => '/app/hold/<i>/' . ++$n . '200?SECRET=query',
        headers => [ 'X-Until' => $go ])) for @conns;
    ok(wait_for { interpreters()->{app}{running} == 2 }, 'two are running');
    my $now = interpreters()->{app};
    is($now->{in_flight}, 2, 'in flight');
    is($now->{instances}[0]{in_flight}, 2, 'in the instance');
    my $all = $server->get_json('/wsgi-status?format=json');
    my @calls = sort { $a->{path} cmp $b->{path} } map { @{ $_->{calls} } } @{ $all->{children} };
    is_deeply([ map { "$_->{phase} $_->{interpreter} $_->{method} $_->{path}" } @calls ],
        [ map { "application app GET /app/hold/<i>/${_}200" } 1, 2 ],
        'what they are');
    is($calls[0]{application}, "app (main.test:$server->{port}/app)", 'of which application');
    my $page = status('html')->{body};
    like($page, qr{/app/hold/&#60;i&#62;/1200}, 'the page shows them, escaped');
    unlike($page, qr/<i>/, 'and nothing else');
    my ($child, $call) = read_text("$ENV{PW_T_SRC}/docs/metrics.md")
        =~ /^`children`, each(.*?) and `calls`(.*?)The phases/ms;
    is_deeply([ sort keys %{ $calls[0] } ], [ sort $call =~ /`(\w+)`/g ],
        'the keys of a call are those of docs/metrics.md');
    write_text($go, '');
    is($_->response->{status}, 200, 'answered') for @conns;
    is(interpreters()->{app}{in_flight}, 0, 'none is in flight');
};

# ---- what nobody sees ----

for my $format (qw(html json prometheus)) {
    my $a = status("$format&SECRET=query", headers => [ Cookie => 'SECRET' ]);
    unlike($a->{body}, qr/SECRET|Traceback|PYTHONPATH|\bapp\.py/, "$format tells no secret");
}
is($server->get('/nobody')->{status}, 403, 'Require is obeyed');

my $user = "$server->{dir}/htdocs/user/.htaccess";
for my $way ("SetHandler wsgi-status\n", "AddHandler wsgi-status .html\n",
    "<Files page.html>\nSetHandler wsgi-status\n</Files>\n",
    "RewriteEngine On\nRewriteRule ^ - [H=wsgi-status]\n") {
    write_text($user, $way);
    my $a = $server->get('/user/page.html');
    is($a->{status}, 403, 'not by .htaccess: ' . $way =~ s/\n.*//sr);
}
is(scalar $server->lines(qr/PW0135 .user.page\.html .*Mend/), 4, 'the log says why');
is($server->get('/dir/')->{status}, 200, 'by a <Directory> it is');
write_text("$server->{dir}/htdocs/.htaccess", "AddType text/x-strange .strange\n");
is(status('json')->{status}, 200, 'what .htaccess says beside a <Location> does no harm');
unlink "$server->{dir}/htdocs/.htaccess";

# ---- the example ----

subtest 'the example configuration lets in who is local' => sub {
    my $load = PWTest::Server::load('remoteip');
    plan skip_all => 'no mod_remoteip' if !$load;
    my ($block) = read_text("$ENV{PW_T_SRC}/conf/polywsgi.conf")
        =~ m{^(#<Location /wsgi-status>\n.*?^#</Location>\n)}ms;
    my $shown = PWTest::Server->new(name => 'shown',
        conf => "$load\nRemoteIPHeader X-From\n" . $block =~ s/^#//gmr);
    announce(qr/AH01630/);
    ok($shown->start, 'started');
    for my $format (qw(html json prometheus)) {
        my $path = "/wsgi-status?format=$format";
        is($shown->get($path)->{status}, 200, "$format: who is local");
        my $other = $shown->get($path, headers => [ 'X-From' => '192.0.2.1' ]);
        is($other->{status}, 403, 'and nobody else');
        unlike($other->{body}, qr/polywsgi/, 'who sees nothing');
    }
    $shown->stop;
};

# ---- over a restart ----

# httpd unloads modules at a restart; with others ahead, ours comes to lie
# elsewhere in memory.
subtest 'counts are kept where the module is loaded elsewhere' => sub {
    my $more = PWTest::Server::load(qw(info autoindex proxy dav lua include));
    plan skip_all => 'no other modules' if !$more;
    my $before = interpreters()->{app}{accepted};
    write_text("$server->{dir}/more.conf", $more . read_text($server->{modules}));
    $server->{modules} = "$server->{dir}/more.conf";
    for my $round (1, 2) {
        my $mark = () = $server->lines(qr/resuming normal operations/);
        $server->write_conf;
        $server->signal('HUP');
        ok(wait_for { ($server->lines(qr/resuming normal operations/)) > $mark || !$server->alive },
            'restarted');
        ok($server->alive, 'httpd lives');
        ok(wait_for { $server->get('/wsgi-status?format=json')->{status} == 200 }, 'it serves');
        is(interpreters()->{app}{accepted}, $before, 'what was counted is there');
        $server->{modules} = "$ENV{PW_T_DIR}/conf/modules.conf";
    }
};

# ---- another configuration ----

subtest 'interpreters that remain keep their counters' => sub {
    my %before = map { ($_ => interpreters()->{$_}{accepted}) } qw(app broken);
    $server->write_conf(($server->{conf} =~ s/^WSGIScriptAlias .(?:own|missing).*\n//mgr)
        =~ s/^/WSGIScriptAlias \/first \@DIR\@\/apps\/app.py\n/r
        . join '', map { "WSGIScriptAlias /more$_ \@DIR\@/apps/app.py\n" } 1 .. 40);
    $server->signal('USR1');
    ok(wait_for { $server->get('/first/200')->{status} == 200 }, 'restarted');
    ok(wait_for { interpreters()->{missing}{state} eq 'gone' },
        'one that no child has any more is shown as gone');
    my $of = interpreters();
    is($of->{$_}{accepted}, $before{$_}, "$_ goes on") for sort keys %before;
    is($of->{missing}{refused}{closed}, 1, 'with what it counted');
    is($of->{"main.test:$server->{port}|/first"}{accepted}, 1, 'a new one begins');
    is($server->get("/more$_/200")->{status}, 200, "mount $_") for 1, 40;
    is(interpreters()->{"main.test:$server->{port}|/more40"}{accepted}, 1,
        'however many there are');
    my $all = $server->get_json('/wsgi-status?format=json');
    cmp_ok($_->{generation}, '>', 0, 'the children are of another generation')
        for @{ $all->{children} };
};

$server->stop;
finish();
