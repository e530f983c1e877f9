# SPDX-License-Identifier: Apache-2.0
# Configurations as projects document them for mod_wsgi, with paths of the test's
# own: the same answers as there, the same sharing, or an error that says what to
# do. t/real has them; the table says what is to come of each.
use PWTest;
use PWTest::Server;

my $say = <<'END_APP';
import json, os, sys
import polywsgi

TOKEN = os.urandom(6).hex()

def application(environ, start_response):
    body = environ["wsgi.input"].read()
    seen = {k: v for k, v in environ.items() if isinstance(v, str)}
    seen.update(token=TOKEN, interpreter=polywsgi.interpreter, path=sys.path, body=len(body),
                prefix=sys.prefix, imported=getattr(sys, "imported", None),
                settings=os.environ.get("DJANGO_SETTINGS_MODULE"), optimize=sys.flags.optimize)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen).encode()]

kojihub = application
END_APP

# error: what httpd -t must name. ask: host, path, options of the request and what
# the application saw; status where it is not 200. share: requests in one
# interpreter, by their place in `ask`; apart: in another.
my $login = 'Basic c29tZWJvZHk6c2VjcmV0';
my @table = (
    { name => 'django', title => 'Django, embedded, one project',
      ask => [ { path => '/polls/1?x=2', want => { SCRIPT_NAME => '', PATH_INFO => '/polls/1',
          QUERY_STRING => 'x=2', prefix => qr{/red$}, path => qr{/project} } },
        { path => '/static/x.css', body => 'a file' } ] },
    { name => 'django-daemon', title => 'Django, with a daemon process',
      error => [ qr/WSGIDaemonProcess/, qr/<WSGIInterpreter>/ ] },
    { name => 'django-moved', title => 'the same, as docs/migrating has it',
      ask => [ { path => '/polls', want => { interpreter => 'example.test',
          prefix => qr{/red$}, path => qr{/project}, settings => 'project.settings' } } ] },
    { name => 'django-two', title => 'Django, two sites and a hostile neighbour',
      ask => [ { host => 'one.test', path => '/', want => { settings => 'one' } },
        { host => 'two.test', path => '/', want => { settings => 'two' } },
        { host => 'ONE.test:4711', path => '/x', want => { settings => 'one' } } ],
      share => [ [ 0, 2 ] ], apart => [ [ 0, 1 ] ] },
    { name => 'flask', title => 'Flask, with a daemon process as another user',
      error => [ qr/WSGIDaemonProcess/, qr/httpd's user/ ] },
    { name => 'flask-embedded', title => 'Flask, embedded, in the main interpreter',
      ask => [ { path => '/hello', want => { interpreter => '%{GLOBAL}' } },
        { path => '/other/x', want => { interpreter => '%{GLOBAL}', SCRIPT_NAME => '/other' } } ] },
    { name => 'pyramid', title => 'Pyramid, below a prefix, credentials passed on',
      ask => [ { path => '/myapp/view', headers => [ Authorization => 'Bearer x' ],
          want => { SCRIPT_NAME => '/myapp', PATH_INFO => '/view', interpreter => '%{GLOBAL}',
            HTTP_AUTHORIZATION => 'Bearer x' } } ] },
    { name => 'cherrypy', title => 'CherryPy, WSGIPythonPath and chunked uploads',
      ask => [ { path => '/cp/upload', chunked => 'abcdef', want => { body => 6,
          path => qr{/project} } } ] },
    { name => 'trac', title => 'Trac, login by httpd at one URL',
      ask => [ { path => '/trac/wiki', want => { SCRIPT_NAME => '/trac', PATH_INFO => '/wiki',
          REMOTE_USER => undef, interpreter => '%{GLOBAL}' } },
        { path => '/trac/login', status => 401 },
        { path => '/trac/login', headers => [ Authorization => $login ],
          want => { REMOTE_USER => 'somebody', HTTP_AUTHORIZATION => undef } } ] },
    { name => 'radicale', title => 'Radicale, authentication of its own',
      ask => [ { path => '/user/calendar.ics/', method => 'PROPFIND',
          headers => [ Authorization => 'Basic x' ], want => { REQUEST_METHOD => 'PROPFIND',
            HTTP_AUTHORIZATION => 'Basic x', PATH_INFO => '/user/calendar.ics/' } } ] },
    { name => 'graphite-daemon', title => 'graphite-web, daemon processes and an import',
      error => [ qr/WSGIDaemonProcess|process-group=graphite/ ] },
    { name => 'graphite', title => 'graphite-web, embedded, with its import',
      notices => qr/PW0020 WSGISocketPrefix/,
      ask => [ { path => '/render?target=a', want => { imported => 'yes',
          interpreter => '%{GLOBAL}', QUERY_STRING => 'target=a' } } ] },
    { name => 'moin', title => 'MoinMoin, several wikis by a pattern',
      ask => [ { path => '/main/FrontPage', want => { SCRIPT_NAME => '/main',
          PATH_INFO => '/FrontPage' } },
        { path => '/other/FrontPage', want => { SCRIPT_NAME => '/other' } },
        { path => '/none/FrontPage', status => 404 } ],
      apart => [ [ 0, 1 ] ] },
    { name => 'reviewboard', title => 'Review Board, whose alias goes on behind the script',
      ask => [ { path => '/r/1/', want => { SCRIPT_NAME => '', PATH_INFO => '/r/1/',
          HTTP_AUTHORIZATION => undef } } ] },
    { name => 'mailman', title => 'Mailman 3, process-group= of the alias',
      error => [ qr/process-group=mailman/, qr/<WSGIInterpreter mailman>/ ] },
    { name => 'keystone-daemon', title => 'OpenStack Keystone, daemon processes by a variable',
      error => [ qr/WSGIDaemonProcess|WSGIProcessGroup/ ] },
    { name => 'keystone', title => 'OpenStack Keystone, moved',
      ask => [ { path => '/v3/auth/tokens', method => 'POST', body => '{}',
          headers => [ Authorization => 'x' ], want => { interpreter => '%{GLOBAL}',
            HTTP_AUTHORIZATION => 'x', body => 2 } } ] },
    { name => 'ipa', title => 'FreeIPA, groups by location',
      error => [ qr/WSGIDaemonProcess|WSGIProcessGroup/ ] },
    { name => 'hgweb', title => 'hgweb, a handler and ExecCGI',
      ask => [ { path => '/hg/hgweb.wsgi/repo', want => { SCRIPT_NAME => '/hg/hgweb.wsgi',
          PATH_INFO => '/repo' } },
        { path => '/repos/x', want => { SCRIPT_NAME => '/repos', PATH_INFO => '/x' } },
        { path => '/hg/notes.txt', body => 'a file' } ] },
    { name => 'roundup', title => 'Roundup, optimised, static files beside it',
      ask => [ { path => '/tracker/issue1', want => { optimize => 2, SCRIPT_NAME => '/tracker' } },
        { path => '/tracker/@@file/x.css', body => 'a file' } ] },
    { name => 'web2py', title => 'web2py, static files of each application by a pattern',
      ask => [ { path => '/welcome/default/index', want => { PATH_INFO => '/welcome/default/index',
          SCRIPT_NAME => '' } },
        { path => '/welcome/static/x.css', body => 'a file' } ] },
    { name => 'cobbler', title => 'Cobbler, one script for a pattern',
      ask => [ { path => '/cblr/svc/op/ks/system/x', want => { SCRIPT_NAME => '/cblr/svc/op',
          PATH_INFO => '/ks/system/x', interpreter => qr{\|\^/cblr/svc/} } },
        { path => '/cblr/svc/other/x', want => { PATH_INFO => '/x' } } ],
      share => [ [ 0, 1 ] ] },
    { name => 'koji', title => 'Koji hub, SetHandler on a file, another callable',
      ask => [ { path => '/kojihub/app.py/x', method => 'POST', body => 'abc', want => {
          interpreter => '%{GLOBAL}', body => 3, PATH_INFO => '/x' } } ] },
    { name => 'express', title => 'what mod_wsgi-express writes',
      error => [ qr/WSGIRestrictEmbedded|WSGIDaemonProcess/ ] },
    { name => 'scripts', title => 'access and authentication by scripts',
      error => [ qr/WSGIAccessScript/, qr/Require/ ] },
    { name => 'packaged', title => 'a package\'s file in <IfModule mod_wsgi.c>', as => 'wsgi',
      notices => qr/PW0020 WSGILazyInitialization/,
      ask => [ { path => '/packaged/x', want => { SCRIPT_NAME => '/packaged' } } ] },
    { name => 'both-schemes', title => 'one site over http and https',
      ask => [ { path => '/', want => {} }, { path => '/', port => 'second', want => {} },
        { path => '/', host => 'second.test', want => {} } ],
      share => [ [ 0, 1 ] ], apart => [ [ 0, 2 ] ] },
);

sub prepare {
    my ($s) = @_;
    my $dir = $s->{dir};
    mkdir "$dir/$_" for qw(project project/one project/two htdocs/hg htdocs/koji htdocs/static
        applications applications/welcome applications/welcome/static wikis);
    write_text("$dir/$_", $say) for qw(apps/say.py apps/one.wsgi apps/two.wsgi apps/wsgi-main
        wikis/main.wsgi wikis/other.wsgi htdocs/hg/hgweb.wsgi htdocs/koji/app.py);
    write_text("$dir/apps/$_.wsgi",
        "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', '$_')\n$say") for qw(one two);
    write_text("$dir/apps/import.py", "import sys\nsys.imported = 'yes'\n");
    write_text("$dir/$_", 'a file') for qw(htdocs/static/x.css htdocs/hg/notes.txt
        applications/welcome/static/x.css);
    write_text("$dir/users", 'somebody:' . crypt('secret', 'ab') . "\n");
    return;
}

sub ask {
    my ($s, $q) = @_;
    my $port = $q->{port} ? $s->{second} : $s->{port};
    my %o = (port => $port, path => $q->{path}, host => $q->{host} || 'main.test',
        map { exists $q->{$_} ? ($_ => $q->{$_}) : () } qw(method headers body));
    return PWTest::HTTP::request(%o) if !defined $q->{chunked};
    my $conn = PWTest::HTTP->new(port => $port);
    $conn->send(PWTest::HTTP::head(%o, method => 'POST', headers => [
        'Transfer-Encoding' => 'chunked', Connection => 'close' ])
        . sprintf("%x\r\n%s\r\n0\r\n\r\n", length $q->{chunked}, $q->{chunked}));
    my $a = $conn->response;
    $conn->close;
    return $a;
}

sub check_answer {
    my ($s, $q) = @_;
    my $a = ask($s, $q);
    my $what = ($q->{host} || '') . $q->{path};
    is($a->{status}, $q->{status} || 200, "$what: status") or diag($a->{body});
    is($a->{body}, $q->{body}, "$what: body") if defined $q->{body} && !$q->{want};
    return {} if !$q->{want};
    my $seen = PWTest::decode($a, $what);
    for my $key (sort keys %{ $q->{want} }) {
        my ($want, $have) = ($q->{want}{$key}, $seen->{$key});
        $have = join ':', @$have if ref $have;
        ref $want ? like($have // '', $want, "$what: $key") : is($have, $want, "$what: $key");
    }
    return $seen;
}

announce(qr/AH01617|AH01618|AH01797|AH01630/);
cases(sub {
    my ($case) = @_;
    my $s = PWTest::Server->new(name => "real-$case->{conf}", as => $case->{as}, conf => '');
    $s->{second} = PWTest::Server::free_port();
    prepare($s);
    $s->{conf} = read_text("$ENV{PW_T_DIR}/real/$case->{conf}.conf")
        =~ s/\@SECOND\@/$s->{second}/gr;
    plan skip_all => 'the environment takes the place of the only Python home that serves here'
        if $ENV{PW_T_PYTHON_HOME} && $s->{conf} =~ /^WSGIPythonHome/m && !$case->{error};
    my ($status, $said) = $s->run('-t');
    if ($case->{error}) {
        isnt($status, 0, 'an error');
        like($said, $_, "that says $_") for @{ $case->{error} }, qr/Mend: /;
        return;
    }
    is($status, 0, 'no error') or return diag($said);
    ok($s->start, 'started') or return;
    my @seen = map { check_answer($s, $_) } @{ $case->{ask} };
    is($seen[$_->[0]]{token}, $seen[$_->[1]]{token}, "@$_ share module state")
        for @{ $case->{share} || [] };
    isnt($seen[$_->[0]]{token}, $seen[$_->[1]]{token}, "@$_ do not")
        for @{ $case->{apart} || [] };
    ok(scalar $s->lines($case->{notices}), 'with a notice') if $case->{notices};
    $s->stop;
}, map { +{ %$_, conf => $_->{name}, name => $_->{title} } } @table);

finish();
