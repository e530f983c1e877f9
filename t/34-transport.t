# SPDX-License-Identifier: Apache-2.0
# What lies between client and application: TLS, HTTP/2, and another httpd as a
# proxy.
use PWTest;
use PWTest::H2;
use PWTest::Server;
use Digest::SHA qw(sha256_hex);

my $source = read_text("$ENV{PW_T_DIR}/apps/near.py");

# A file of so many bytes in the server's directory, for curl.
sub upload {
    my ($s, $size) = @_;
    my $data = substr 'Some bytes, over and over. ' x (1 + $size / 27), 0, $size;
    write_text("$s->{dir}/upload", $data);
    return (data => $data, file => "$s->{dir}/upload",
        want => "$size " . sha256_hex($data));
}

# ---- TLS ----

# A client's certificate, which is its own authority.
sub client_certificate {
    my ($s) = @_;
    my $file = "$s->{dir}/client";
    system('openssl req -x509 -newkey rsa:2048 -nodes -days 2'
        . " -subj '/O=Readers/CN=ada' -keyout $file.key -out $file.crt"
        . ' >/dev/null 2>&1') == 0 or die 'openssl makes no certificate';
    return $file;
}

# want: keys of environ (undef: it has no such key); curl: options.
sub check_tls {
    my ($s, $url, $case) = @_;
    my $said = $s->curl("$url$case->{path}", '-w', '\n%{http_version} %{http_code}',
        @{ $case->{curl} || [] });
    my ($body, $version, $status) = $said =~ /\A(.*)\n([\d.]+) (\d+)\z/s;
    is($status, 200, 'status');
    is($version, $case->{version}, 'version') if $case->{version};
    my $seen = PWTest::decode({ status => $status, body => $body }, $url);
    is($seen->{$_}, $case->{want}{$_}, $_) for sort keys %{ $case->{want} };
    return;
}

sub tls {
    my $s   = PWTest::Server->new(name => 'tls', conf => '');
    my $ssl = $s->certificate or plan skip_all => 'no mod_ssl or no openssl';
    my $client = client_certificate($s);
    my $known  = PWTest::Server::free_port();
    $s->app('near.py', $source);
    $s->{conf} = <<"END_CONF";
$ssl->{load}
WSGIScriptAlias /app $s->{dir}/apps/near.py application-group=near
Listen 127.0.0.1:$ssl->{port} https
Listen 127.0.0.1:$known https
SSLSessionCache shmcb:$s->{dir}/sessions(65536)
<VirtualHost *:$ssl->{port}>
    ServerName tls.test
    Protocols h2 http/1.1
    SSLEngine on
    SSLCertificateFile $ssl->{file}
    <Location /app/variables>
        SSLOptions +StdEnvVars
    </Location>
</VirtualHost>
<VirtualHost *:$known>
    ServerName tls.test
    SSLEngine on
    SSLCertificateFile $ssl->{file}
    SSLCACertificateFile $client.crt
    SSLVerifyClient require
    SSLUserName SSL_CLIENT_S_DN_CN
    SSLOptions +StdEnvVars
</VirtualHost>
END_CONF
    announce(qr/AH10034|AH01906/);
    ok($s->start, 'started');
    my $url   = "https://tls.test:$ssl->{port}";
    my @known = ('--cert', "$client.crt", '--key', "$client.key");
    my @table = (
        { name => 'HTTP/1.1 over TLS', path => '/app/x', version => '1.1',
          curl => ['--http1.1'], want => { url_scheme => 'https', HTTPS => 'on',
            SERVER_PORT => $ssl->{port}, SSL_PROTOCOL => undef,
            SERVER_PROTOCOL => 'HTTP/1.1', REMOTE_USER => undef } },
        { name => 'StdEnvVars', path => '/app/variables',
          curl => ['--http1.1', '--tlsv1.2', '--tls-max', '1.2'],
          want => { SSL_PROTOCOL => 'TLSv1.2', SSL_SERVER_S_DN_CN => 'tls.test',
            SSL_CLIENT_VERIFY => 'NONE' } },
        { name => 'HTTP/2 by ALPN', path => '/app/x', threaded => 1,
          version => '2', want => { url_scheme => 'https', HTTPS => 'on',
            SERVER_PROTOCOL => 'HTTP/2.0' } },
        { name => 'HTTP/2 with StdEnvVars', path => '/app/variables',
          threaded => 1, version => '2',
          want => { SSL_SERVER_S_DN_CN => 'tls.test' } },
        { name => 'a client with a certificate', path => '/app/x',
          url => "https://tls.test:$known", curl => \@known,
          want => { REMOTE_USER => 'ada', SSL_CLIENT_VERIFY => 'SUCCESS',
            SSL_CLIENT_S_DN_O => 'Readers' } },
    );
    cases(sub {
        my ($case) = @_;
        plan skip_all => 'mod_http2 needs threads' if $case->{threaded} && !threaded();
        check_tls($s, $case->{url} || $url, $case);
    }, @table);
    my %up = upload($s, 3_000_000);
    for my $version (threaded() ? qw(--http1.1 --http2) : '--http1.1') {
        is($s->curl("$url/app/digest", $version, '--data-binary', "\@$up{file}"),
            $up{want}, "an upload, $version");
        is(length $s->curl("$url/app/big?64", $version), 4 << 20,
            "a big response, $version");
    }
    $s->stop;
    return;
}
subtest 'TLS' => \&tls;

# ---- HTTP/2 ----

sub h2_bodies {
    my ($s, $h2) = @_;
    my $post = $h2->send_headers([ ':method' => 'POST', ':scheme' => 'http',
        ':path' => '/app/digest', ':authority' => 'main.test' ]);
    $h2->send_data($post, 'half,');
    $h2->send_data($post, 'half', end => 1);
    is($h2->response($post)->{body}, '9 ' . sha256_hex('half,half'),
        'a body in two frames, without its length');
    my $head = $h2->send_headers([ ':method' => 'HEAD', ':scheme' => 'http',
        ':path' => '/app/x', ':authority' => 'main.test' ], end => 1);
    my $a = $h2->response($head);
    is($a->{status}, 200, 'HEAD');
    is($a->{body}, '', 'without a body');
    ok($a->{complete}, 'and complete');
    my $big = $h2->response($h2->send_headers(
        PWTest::H2::get('/app/big?32'), end => 1));
    is(sha256_hex($big->{body}), sha256_hex(join '',
        map { chr(65 + $_ % 26) x 65536 } 0 .. 31), '2 MiB of response');
    my %up = upload($s, 3_000_000);
    is($s->curl("http://main.test:$s->{port}/app/digest",
        '--http2-prior-knowledge', '--data-binary', "\@$up{file}"),
        $up{want}, '3 MB of request');
    return;
}

# Streams wait for one another's words: they run at the same time.
sub h2_streams {
    my ($s, $h2) = @_;
    my $var = "$s->{dir}/var";
    my @ids = map { $h2->send_headers(PWTest::H2::get("/app/wait?go$_"), end => 1) } 0 .. 3;
    is($h2->read_body($_, 5), 'begun', "stream $_ has begun") for @ids;
    for my $n (3, 1) {
        write_text("$var/go$n", '');
        is($h2->response($ids[$n])->{body}, 'begunended', "stream $ids[$n] ends");
    }
    my $endless = $h2->send_headers(PWTest::H2::get('/app/endless?closed'), end => 1);
    is($h2->read_body($endless, 5), 'more ', 'another runs on and on');
    $h2->reset_stream($endless);
    ok(wait_for { -e "$var/closed" }, 'until it is reset: it is closed');
    my $a = $h2->response($h2->send_headers(PWTest::H2::get('/app/abort'), end => 1));
    ok(defined $a->{reset}, 'an aborted one is reset');
    ok(!$a->{complete}, 'and not complete');
    write_text("$var/go$_", '') for 0, 2;
    $a = $h2->response($ids[0]);
    is($a->{body}, 'begunended', 'and the first goes on to its end');
    ok($a->{complete}, 'complete');
    ok(!defined $a->{goaway}, 'on the same connection');
    return;
}

subtest 'HTTP/2' => sub {
    plan skip_all => 'mod_http2 needs threads' if !threaded();
    plan skip_all => 'no mod_http2' if !PWTest::Server::has('http2');
    announce(qr/PW0402/);
    my $s = PWTest::Server->new(name => 'http2', conf => <<'END_CONF');
Protocols h2c http/1.1
WSGIScriptAlias /app @DIR@/apps/near.py application-group=near
END_CONF
    $s->app('near.py', $source);
    ok($s->start, 'started');
    my $h2 = PWTest::H2->new(port => $s->{port});
    h2_bodies($s, $h2);
    h2_streams($s, $h2);
    $h2->close;
    $s->stop;
};

# ---- a proxy in front ----

sub check_proxy {
    my ($front, $back) = @_;
    my $seen = $front->get_json('/site/app/x%2Fy/z?q=1', host => 'front.test');
    my %want = (REMOTE_ADDR => '127.0.0.1', SCRIPT_NAME => '/app', PATH_INFO => '/x%2Fy/z',
        HTTP_X_FORWARDED_HOST => 'front.test', QUERY_STRING => 'q=1',
        HTTP_X_FORWARDED_SERVER => 'main.test', url_scheme => 'https');
    is($seen->{$_}, $want{$_}, $_) for sort keys %want;
    is($front->get('/site/app/big?40')->{body}, $back->get('/app/big?40')->{body},
        'a big response');
    my %up = upload($front, 2_000_000);
    is($front->get('/site/app/digest', method => 'POST', body => $up{data})->{body},
        $up{want}, 'an upload');
    is($front->get('/site/app/unread', method => 'POST', body => 'x' x 10)->{body},
        'unread', 'a body that nobody reads');
    is($front->get('/site/app/x', method => 'HEAD')->{status}, 200, 'HEAD');
    for my $path (qw(abort declared)) {
        my $a = $front->get("/site/app/$path");
        ok(!$a->{complete}, "$path: a truncated response is seen as one");
        is($front->get('/site/app/unread')->{body}, 'unread', 'and the next is good');
    }
    return;
}

subtest 'mod_proxy in front' => sub {
    plan skip_all => 'no mod_proxy_http' if !PWTest::Server::has(qw(proxy proxy_http));
    plan skip_all => 'no mod_remoteip' if !PWTest::Server::has('remoteip');
    announce(qr/PW040[267]/, qr/proxy(?:_http)?:error|AH01110|AH00898|AH01102/);
    my $load = PWTest::Server::load(qw(remoteip proxy proxy_http))
        . "AllowEncodedSlashes NoDecode\n";
    my $back = PWTest::Server->new(name => 'back', conf => $load . <<'END_CONF');
WSGIScriptAlias /app @DIR@/apps/near.py application-group=near
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
SetEnvIf X-Forwarded-Proto ^https$ HTTPS=on
END_CONF
    $back->app('near.py', $source);
    ok($back->start, 'the server behind started');
    my $front = PWTest::Server->new(name => 'front', conf => <<"END_CONF");
${load}
RequestHeader set X-Forwarded-Proto https
ProxyPass /site http://127.0.0.1:$back->{port} nocanon
END_CONF
    ok($front->start, 'the server in front started');
    check_proxy($front, $back);
    $front->stop;
    $back->stop;
};

finish();
