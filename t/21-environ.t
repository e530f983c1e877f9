# SPDX-License-Identifier: Apache-2.0
# environ, key by key.
use PWTest;

my $port = $ENV{PW_T_PORT};

# want: key => value, pattern, or undef for a key that must not be there.
my @table = (
    { name => 'a plain request', path => '/info', want => {
        GATEWAY_INTERFACE => 'CGI/1.1', REQUEST_METHOD => 'GET',
        SERVER_PROTOCOL => 'HTTP/1.1', SERVER_NAME => 'main.test',
        SERVER_PORT => $port, SCRIPT_NAME => '/info', PATH_INFO => '',
        QUERY_STRING => '', REQUEST_URI => '/info', REMOTE_ADDR => '127.0.0.1',
        REMOTE_PORT => qr/^\d+$/, SERVER_ADDR => '127.0.0.1',
        SERVER_SOFTWARE => qr/^Apache/, SERVER_ADMIN => 'admin@main.test',
        SERVER_SIGNATURE => '', DOCUMENT_ROOT => qr{/htdocs$},
        REQUEST_SCHEME => 'http', CONTEXT_PREFIX => qr/^/,
        SCRIPT_FILENAME => qr{/apps/info\.py$}, HTTP_HOST => 'main.test',
        CONTENT_TYPE => undef, CONTENT_LENGTH => undef, HTTPS => undef,
        PATH_TRANSLATED => qr/^/, REMOTE_USER => undef, AUTH_TYPE => undef,
        'wsgi.url_scheme' => 'http', PW_VAR => "$ENV{PW_T_DIR}/var",
        'polywsgi.isolation' => qr/^(?:own-gil|shared-gil)$/,
        'polywsgi.interpreter' => "main.test:$port|/info",
        PATH => qr/^/,
    }},
    { name => 'path and query', path => '/info/a/b%20c?x=1&y=%20',
      want => { SCRIPT_NAME => '/info', PATH_INFO => '/a/b c',
        QUERY_STRING => 'x=1&y=%20', REQUEST_URI => '/info/a/b%20c?x=1&y=%20' }},
    { name => 'a lone slash', path => '/info/',
      want => { SCRIPT_NAME => '/info', PATH_INFO => '/' }},
    { name => 'an empty query', path => '/info?',
      want => { QUERY_STRING => '' }},
    { name => 'bytes of a path as latin-1', path => '/info/%C3%A9%FF',
      want => { PATH_INFO => "/\x{c3}\x{a9}\x{ff}" }},
    { name => 'HTTP headers', path => '/info', headers => [
        'User-Agent' => 'x y', 'X-Two' => 'a', 'X-Two' => 'b',
        'Accept-Language' => 'en', Cookie => 'a=1', Cookie => 'b=2',
        'X-Empty' => '', 'X-High' => "\xc3\xa9" ],
      want => { HTTP_USER_AGENT => 'x y', HTTP_X_TWO => 'a, b',
        HTTP_ACCEPT_LANGUAGE => 'en', HTTP_COOKIE => qr/a=1[,;] ?b=2/,
        HTTP_X_EMPTY => '', HTTP_X_HIGH => "\x{c3}\x{a9}" }},
    { name => 'headers that never reach it', path => '/info', headers => [
        'X_Under' => 'spoof', Proxy => 'http://evil', 'X.Dot' => 'a',
        'X-Fine' => 'yes' ],
      want => { HTTP_X_UNDER => undef, HTTP_PROXY => undef, HTTP_X_FINE => 'yes',
        HTTP_X_DOT => undef }},
    { name => 'Authorization passes where httpd does not authenticate',
      path => '/info', headers => [ Authorization => 'Bearer x' ],
      want => { HTTP_AUTHORIZATION => 'Bearer x', AUTH_TYPE => undef }},
    { name => 'HTTP/1.0', path => '/info', proto => 'HTTP/1.0',
      want => { SERVER_PROTOCOL => 'HTTP/1.0' }},
    { name => 'a body', path => '/info', method => 'POST', body => 'abc',
      headers => [ 'Content-Type' => 'text/x' ],
      want => { REQUEST_METHOD => 'POST', CONTENT_LENGTH => '3',
        CONTENT_TYPE => 'text/x', HTTP_CONTENT_TYPE => undef,
        HTTP_CONTENT_LENGTH => undef }},
    { name => 'another method', path => '/info', method => 'PROPFIND',
      want => { REQUEST_METHOD => 'PROPFIND' }},
    { name => 'OPTIONS goes to the application', path => '/info',
      method => 'OPTIONS', want => { REQUEST_METHOD => 'OPTIONS' }},
    { name => 'a rewritten URL', path => '/moved/x?q',
      want => { SCRIPT_NAME => '/info', PATH_INFO => '/x',
        REQUEST_URI => '/moved/x?q', QUERY_STRING => 'q' }},
    { name => 'the environment of the request', path => '/info/granted',
      headers => [ 'X-Set' => 'value' ],
      want => { FROM_HEADER => 'value', FROM_CONF => 'set here' }},
    { name => 'set by mod_rewrite', path => '/handed/x',
      want => { HANDED => 'yes' }},
    { name => 'repeated slashes', path => '/info//a///b',
      want => { SCRIPT_NAME => '/info', PATH_INFO => qr{^/} }},
    { name => 'a Host header with a foreign name does not choose an interpreter',
      path => '/info', host => 'unheard-of.test:99',
      want => { 'polywsgi.interpreter' => "main.test:$port|/info",
        HTTP_HOST => 'unheard-of.test:99' }},
    { name => 'the main interpreter', path => '/global',
      want => { 'polywsgi.interpreter' => '%{GLOBAL}',
        'polywsgi.isolation' => 'main' }},
    { name => 'a shared GIL', path => '/gilled',
      want => { 'polywsgi.interpreter' => 'gilled',
        'polywsgi.isolation' => 'shared-gil' }},
);

sub check {
    my ($case) = @_;
    my $answer = request(map { exists $case->{$_} ? ($_ => $case->{$_}) : () }
        qw(path method headers body proto host));
    is($answer->{status}, 200, 'answered');
    my $seen = PWTest::decode($answer, $case->{path})->{environ};
    my $want = $case->{want};
    for my $key (sort keys %$want) {
        if (!defined $want->{$key}) {
            ok(!exists $seen->{$key}, "no $key") or diag($seen->{$key});
        }
        elsif (ref $want->{$key}) {
            # A pattern that matches all stands for "may be there".
            like($seen->{$key} // '', $want->{$key}, $key);
        }
        else {
            is($seen->{$key}, $want->{$key}, $key);
        }
    }
}
cases(\&check, @table);

subtest 'the values of WSGI' => sub {
    my $i = info();
    is_deeply($i->{'wsgi.version'}, [1, 0], 'wsgi.version');
    is($i->{'wsgi.multithread'} ? 1 : 0, threaded() ? 1 : 0,
        'wsgi.multithread');
    # The threaded MPMs are configured for one child here.
    is($i->{'wsgi.multiprocess'} ? 1 : 0, threaded() ? 0 : 1,
        'wsgi.multiprocess');
    ok(!$i->{'wsgi.run_once'}, 'wsgi.run_once');
    ok($i->{exact_dict}, 'environ is a dict');
    for my $key (qw(wsgi.input wsgi.errors wsgi.file_wrapper)) {
        ok($i->{types}{$key}, $key);
    }
    my @others = grep { !/^wsgi\./ } keys %{ $i->{types} };
    is("@others", '', 'every CGI variable is a str');
};

subtest 'no client name stays for ever' => sub {
    # Interned names would grow the process.
    my $grown = sub {
        my ($from) = @_;
        my $pid;
        for my $n ($from .. $from + 400) {
            $pid = info(headers => [ map { ("X-Name-$n-$_" . 'x' x 60 => 'v') }
                1 .. 20 ])->{pid};
        }
        return $pid;
    };
    plan skip_all => 'needs one process' if !threaded();
    plan skip_all => 'a sanitizer keeps what is freed' if $ENV{PW_T_SANITIZER};
    # CPython 3.15 takes a megabyte or two at times, once: names would come each time.
    my $pid = $grown->(0);
    my @more;
    for my $round (1 .. 3) {
        my $before = process_rss($pid);
        is($grown->(1000 * $round), $pid, 'one process');
        push @more, process_rss($pid) - $before;
    }
    my ($least) = sort { $a <=> $b } @more;
    cmp_ok($least, '<', 500, "@more KB more after 8000 other header names each");
};

subtest 'a WSGIApplication of a module' => sub {
    my $a = get_json('/module/a/b');
    is($a->{module}, 'pwmodule.site', 'imported by its name');
    is($a->{script_name}, '/module', 'SCRIPT_NAME');
    is($a->{path_info}, '/a/b', 'PATH_INFO');
    is($a->{interpreter}, 'red', 'in its interpreter');
};

subtest 'httpd authenticates' => sub {
    my $q = 'token';
    is(get("/kit/private?$q")->{status}, 401, 'refused without');
    # ada:lovelace
    my $a = get("/kit/private?$q", headers => [
        Authorization => 'Basic YWRhOmxvdmVsYWNl' ]);
    is($a->{status}, 200, 'let in');
    is($a->{body}, 'ada Basic False', 'with REMOTE_USER, without the password');
};
announce(qr/AH01617|AH01618|AH01797/);

finish();
