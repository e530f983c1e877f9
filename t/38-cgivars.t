# SPDX-License-Identifier: Apache-2.0
# environ, key by key beside what ap_add_common_vars and ap_add_cgi_vars give
# for the same request. docs/wsgi.md has the differences, and why.
use PWTest;
use PWTest::Server;

my $server = PWTest::Server->new(name => 'cgivars', conf => '');
my $dir    = $server->{dir};
my $so     = $server->build_module('pwcgi');
my $ssl    = $server->certificate;

# The same layout twice: /app is ours, /cgi the handler's.
my $both = <<'END_CONF';
    SetEnv FROM_CONF "set here"
    SetEnv EMPTY ""
    SetEnvIf X-Set (.+) FROM_HEADER=$1
    RewriteEngine On
    RewriteRule ^/moved/(app|cgi)/(.*)$ /$1/$2 [E=HANDED:yes,PT]
    RequestHeader add X-Twice a "expr=%{HTTP:X-Set} == 'v'"
    RequestHeader add X-Twice b "expr=%{HTTP:X-Set} == 'v'"
    <LocationMatch "^/(app|cgi)/private">
        AuthType Basic
        AuthName private
        AuthUserFile @DIR@/users
        Require valid-user
    </LocationMatch>
END_CONF
$server->{conf} = <<"END_CONF" . ($ssl ? <<"END_TLS" : '');
LoadModule pwcgi_module $so
WSGIScriptAlias /app $dir/apps/app.py
Alias /cgi $dir/apps/cgi.py
<Location /cgi>
    SetHandler pwcgi
</Location>
ErrorDocument 404 /app/missing
UseCanonicalName Off
AllowEncodedSlashes Off
<VirtualHost *:\@PORT\@>
    ServerName main.test
    AllowEncodedSlashes NoDecode
$both
</VirtualHost>
<VirtualHost *:\@PORT\@>
    ServerName "canonical.test:99"
    ServerAdmin "me\@canonical.test"
    ServerSignature On
    UseCanonicalName On
    AllowEncodedSlashes On
$both
</VirtualHost>
<VirtualHost *:\@PORT\@>
    ServerName cgierror.test
    ErrorDocument 404 /cgi/missing
    AllowEncodedSlashes NoDecode
$both
</VirtualHost>
<VirtualHost *:\@PORT\@>
    ServerName named.test
    HostnameLookups On
</VirtualHost>
END_CONF
$ssl->{load}
Listen 127.0.0.1:$ssl->{port} https
<VirtualHost *:$ssl->{port}>
    ServerName tls.test
    SSLEngine on
    SSLCertificateFile $ssl->{file}
    <LocationMatch "/.*">
        SSLOptions +StdEnvVars
    </LocationMatch>
$both
</VirtualHost>
END_TLS

write_text("$dir/users", 'somebody:' . crypt('secret', 'ab') . "\n");
$server->app('cgi.py', '');
$server->app('app.py', <<'END_APP');
import json

def application(environ, start_response):
    seen = {k: v if isinstance(v, str) else None for k, v in environ.items()}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen).encode()]
END_APP
ok($server->start, 'started');

# Keys that only one side has, or whose values differ, and why.
my %only_cgi = (
    PATH => 'the environment of the process is os.environ',
    LD_LIBRARY_PATH => 'likewise',
    PATH_TRANSLATED => 'a file below DocumentRoot that PATH_INFO would be: no one is served it',
);
my %other = (
    CONTEXT_PREFIX => 'set by the Alias of /cgi, which a WSGIScriptAlias is none',
    CONTEXT_DOCUMENT_ROOT => 'likewise',
    HTTP_X_TWICE => 'a header that RequestHeader has added twice is joined',
);
# PATH_INFO is there where it is empty: PEP 3333 lets it be left out, but much
# code does not.
my %only_ours = (
    HTTP_AUTHORIZATION => 'the application checks it where httpd does not',
    HTTP_PROXY_AUTHORIZATION => 'likewise',
);

my @headers = ('User-Agent' => 'x y', 'X-Many' => 'a', 'X-Many' => 'b', Cookie => 'a=1',
    Cookie => 'b=2', 'X-Empty' => '', 'X-High' => "\xc3\xa9\xff", 'X_Under' => 'no',
    Proxy => 'http://evil', 'X-Set' => 'v', 'X.Dot' => 'no', 'Accept-Language' => 'en');
my $login = 'Basic c29tZWJvZHk6c2VjcmV0';
my @table = (
    { name => 'plain', path => '/P' },
    { name => 'a slash', path => '/P/' },
    { name => 'path and query', path => '/P/a/b%20c?x=1&y=%20' },
    { name => 'an empty query', path => '/P?' },
    { name => 'bytes that are no ASCII', path => '/P/%C3%A9%FF' },
    { name => 'an encoded slash that stays', path => '/P/a%2Fb/c' },
    { name => 'an encoded slash that is decoded', path => '/P/a%2Fb/c',
      host => 'canonical.test' },
    { name => 'repeated slashes', path => '/P//a///b' },
    { name => 'headers', path => '/P', headers => \@headers },
    { name => 'a canonical name', path => '/P', host => 'canonical.test' },
    { name => 'the name of the Host header', path => '/P', host => 'MAIN.test:4711' },
    { name => 'a body', path => '/P', method => 'POST', body => 'abc',
      headers => [ 'Content-Type' => 'text/x; charset=utf-8' ] },
    { name => 'HEAD', path => '/P', method => 'HEAD', quiet => 1 },
    { name => 'another method', path => '/P/x', method => 'PROPFIND' },
    { name => 'OPTIONS', path => '/P', method => 'OPTIONS' },
    { name => 'HTTP/1.0', path => '/P', proto => 'HTTP/1.0' },
    { name => 'absolute', path => 'http://main.test/P/x?y' },
    { name => 'rewritten', path => '/moved/P/x?q', strip => '/moved' },
    { name => 'a user of httpd', path => '/P/private/x', headers => [ Authorization => $login ] },
    { name => 'one of the application', path => '/P/x', headers => [ Authorization => 'Bearer t',
        'Proxy-Authorization' => 'Bearer p' ] },
    { name => 'an ErrorDocument', path => '/nowhere?q=1', hosts => [ 'main.test', 'cgierror.test' ] },
    { name => 'a looked up client', path => '/P', host => 'named.test' },
);

sub ask {
    my ($case, $which, $more) = @_;
    my $path = $case->{path} =~ s{/P}{/$which}r;
    my $host = $case->{hosts} ? $case->{hosts}[$which eq 'cgi' ? 1 : 0] : $case->{host};
    return $server->request((map { exists $case->{$_} ? ($_ => $case->{$_}) : () }
        qw(method headers body proto)), path => $path, host => $host || 'main.test', %{ $more || {} });
}

sub compare {
    my ($ours, $cgi, $case) = @_;
    delete @$ours{ grep { /^(?:wsgi|polywsgi)\./ } keys %$ours };
    s{cgi\.py}{app.py}g, s{/cgi\b}{/app}g, s{\bcgierror\.test}{main.test}g for values %$cgi;
    delete $_->{REMOTE_PORT}, delete $_->{SSL_SESSION_ID}, delete $_->{SSL_SESSION_RESUMED}
        for $ours, $cgi;
    my %all = (%$ours, %$cgi);
    for my $key (sort keys %all) {
        next if $only_cgi{$key} && !exists $ours->{$key};
        next if $other{$key};
        next if $key eq 'PATH_INFO' && $all{$key} eq '' && !exists $cgi->{$key};
        next if $only_ours{$key} && !exists $cgi->{$key};
        is($ours->{$key}, $cgi->{$key}, $key);
    }
    cmp_ok(scalar keys %all, '>', 15, 'and there was something to compare');
    return;
}

announce(qr/AH00128|AH10411|AH00127|AH01906|AH01873|AH01909/);
cases(sub {
    my ($case) = @_;
    my %seen;
    for my $which (qw(app cgi)) {
        my $a = ask($case, $which);
        # An application says its status itself.
        is($a->{status}, $case->{hosts} && $which eq 'cgi' ? 404 : 200, "$which: status")
            or diag($a->{body});
        $seen{$which} = $case->{quiet} ? {} : PWTest::decode($a, $case->{name});
    }
    compare(@seen{qw(app cgi)}, $case) if !$case->{quiet};
}, @table);

subtest 'over TLS' => sub {
    plan skip_all => 'no mod_ssl or no openssl' if !$ssl;
    for my $path ('/P/x?y=1', '/P/private') {
        my %seen = map { my $which = $_; my $p = $path =~ s{/P}{/$which}r;
            my $text = $server->curl("https://tls.test:$ssl->{port}$p", '-u', 'somebody:secret');
            ($which => PWTest::decode({ status => 200, body => $text }, $p)) } qw(app cgi);
        is($seen{app}{'wsgi.url_scheme'}, 'https', 'wsgi.url_scheme');
        is($seen{app}{HTTPS}, 'on', 'HTTPS');
        like($seen{app}{SSL_PROTOCOL}, qr/^TLS/, 'SSL_PROTOCOL');
        compare(@seen{qw(app cgi)}, {});
    }
};

$server->stop;
finish();
