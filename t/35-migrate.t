# SPDX-License-Identifier: Apache-2.0
# docs/migrating.md, "One application at a time" and "The way back": the
# configurations that stand there, with the paths of this test.
use PWTest;
use PWTest::Server;

plan skip_all => "the documentation's configuration is event's" if !threaded();
plan skip_all => 'no mod_proxy_http or mod_remoteip'
    if !PWTest::Server::has(qw(proxy proxy_http remoteip));

# The blocks of configuration of a section.
sub blocks {
    my ($section) = @_;
    my $text = read_text("$ENV{PW_T_SRC}/docs/migrating.md");
    my ($part) = $text =~ /^## \Q$section\E\n(.*?)(?=^## |\z)/ms
        or die "no section $section";
    return $part =~ /^```apache\n(.*?)^```$/msg;
}

my ($front_conf, $back_conf)   = blocks('One application at a time');
my ($again_conf, $either_conf) = blocks('The way back');

my $back  = PWTest::Server->new(name => 'shop', conf => '');
my $front = PWTest::Server->new(name => 'site', conf => '');
mkdir "$back->{dir}/srv" or die $!;
write_text("$back->{dir}/srv/greeting.py", qq{WORD = "from the path"\n});
write_text("$back->{dir}/srv/wsgi.py", "from greeting import WORD\n"
    . read_text("$ENV{PW_T_DIR}/apps/near.py"));

# The documentation's paths are those of this test; everything else stays.
sub placed {
    my ($text) = @_;
    chomp(my $modules = qx($ENV{PW_T_APXS} -q LIBEXECDIR));
    my ($ours) = read_text("$ENV{PW_T_DIR}/conf/modules.conf")
        =~ /^LoadModule polywsgi_module (.+)$/m;
    my $dir  = $back->{dir};
    my @place = ([ qr{modules/mod_polywsgi\.so}, $ours ],
        [ qr{\bmodules/}, "$modules/" ], [ qr{/etc/httpd-shop}, $dir ],
        [ qr{/run/httpd-shop}, $dir ],
        [ qr{/var/log/httpd-shop/error\.log}, "$dir/error_log" ],
        [ qr{/srv/shop/venv}, "$ENV{PW_T_VENVS}/red" ],
        [ qr{/srv/shop\b}, "$dir/srv" ], [ qr{127\.0\.0\.1:8081}, "127.0.0.1:$back->{port}" ],
        [ qr{mpm_event}, "mpm_$ENV{PW_T_MPM}" ],
        [ qr{^User .*\nGroup .*$}m, $> ? '' : "User $ENV{PW_T_USER}\nGroup $ENV{PW_T_GROUP}" ]);
    $text =~ s/$_->[0]/$_->[1]/g for @place;
    my $home = $ENV{PW_T_PYTHON_HOME};
    return ($home ? "WSGIPythonHome $home\n" : '') . $text;
}

# What the application sees; all of it must be the site's.
sub seen_at {
    my ($path, @headers) = @_;
    my $a = $front->get("/shop$path", host => 'www.example.org', from => '127.0.0.2',
        headers => \@headers);
    is($a->{status}, 200, "$path: status");
    return PWTest::decode($a, $path);
}

sub same {
    my ($name, $seen, %want) = @_;
    is($seen->{$_}, $want{$_}, "$name: $_") for sort keys %want;
    return;
}

announce(qr/AH01630/);
{
    # The whole file is the documentation's: nothing of PWTest::Server's own.
    no warnings 'redefine';
    my $text = \&PWTest::Server::text;
    my $whole = placed($back_conf);
    $whole =~ s/^(WSGIPythonHome .*\n)(.*)/$2$1/s;
    *PWTest::Server::text = sub { $_[0] == $back ? $whole : $text->(@_) };
}
my ($status, $said) = $back->run('-t');
is($status, 0, 'httpd -t of the second one') or diag($said);
ok($back->start, 'it starts');
my $load = PWTest::Server::load(qw(proxy proxy_http));
$front->{conf} = "$load<VirtualHost *:\@PORT\@>\nServerName www.example.org\n"
    . placed($front_conf) =~ s/^WSGIPythonHome.*\n//r . "</VirtualHost>\n";
ok($front->start, 'the first one starts');

my %site = (SCRIPT_NAME => '/shop', REMOTE_ADDR => '127.0.0.2',
    HTTP_HOST => 'www.example.org', SERVER_NAME => 'www.example.org');
same('through the proxy', seen_at('/x/y?q=1'), %site, PATH_INFO => '/x/y',
    QUERY_STRING => 'q=1', url_scheme => 'http', HTTPS => undef,
    interpreter => 'shop');
same('a client that lies', seen_at('/x', 'X-Forwarded-For' => '203.0.113.7',
    'X-Forwarded-Proto' => 'https'), %site, url_scheme => 'http');
same('the scheme that the first one says', PWTest::decode($back->get('/shop/x',
    headers => [ 'X-Forwarded-For' => '203.0.113.7', 'X-Forwarded-Proto' => 'https' ])),
    REMOTE_ADDR => '203.0.113.7', url_scheme => 'https');
is($back->get('/shop/x')->{status}, 200, 'the path of the application is open');
is($back->get('/other')->{status}, 403, 'and no other');
is($front->get('/other')->{status}, 404, 'nor does the first one hand it on');

subtest 'the way back' => sub {
    # Our module stands for mod_wsgi in the first one.
    my $path = "WSGIPythonPath $back->{dir}/srv\n";
    $front->write_conf("$path$load<VirtualHost *:\@PORT\@>\nServerName www.example.org\n"
        . placed($again_conf) =~ s/^WSGIPythonHome.*\n//r . "</VirtualHost>\n");
    $front->signal('USR1');
    my $seen;
    ok(wait_for {
        $seen = $front->get_json('/shop/x', host => 'www.example.org', from => '127.0.0.2');
        ($seen->{interpreter} // '') ne 'shop';
    }, 'the first one serves it again');
    same('as before', $seen, %site, PATH_INFO => '/x', url_scheme => 'http');
};

subtest 'what both modules take' => sub {
    my $s = PWTest::Server->new(name => 'either', conf => placed($either_conf)
        =~ s/^WSGIPythonHome.*\n//r);
    ok($s->start, 'starts');
    is($s->get_json('/shop/x')->{interpreter}, 'shop', 'and names its interpreter');
    $s->stop;
};

$front->stop;
$back->stop;
finish();
