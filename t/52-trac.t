# SPDX-License-Identifier: Apache-2.0
# Trac, in an interpreter of its own: pages, an edit, a ticket. The configuration
# is that of docs/trac.md.
use PWTest;
use PWTest::Server;

plan skip_all => 'no Trac that runs on this Python (package trac; 3.14 has none)'
    if !imports('trac.admin.console', 'trac.web.main', 'trac.db.sqlite_backend');

my $s = PWTest::Server->new(name => 'trac', conf => '');
my $dir = $s->{dir};
$s->{conf} = PWTest::Server::page_conf('trac.md', '/srv/trac' => $dir, 'trac.example.org' => 'main.test');
my $env = "$dir/env";
write_text("$dir/admin.py", "import sys\nfrom trac.admin.console import run\nsys.exit(run())\n");
my $said = qx($ENV{PW_T_PYTHON} $dir/admin.py $env initenv Test sqlite:db/trac.db 2>&1);
ok(-f "$env/conf/trac.ini", 'trac-admin has made an environment') or diag($said);
qx($ENV{PW_T_PYTHON} $dir/admin.py $env permission add somebody TRAC_ADMIN 2>&1);
system 'chmod', '-R', 'a+rwX', $env;
write_text("$dir/users", 'somebody:' . crypt('secret', 'ab') . "\n");
$s->app('../trac.wsgi', read_text("$ENV{PW_T_SRC}/docs/trac.md") =~ s/.*```python\n(.*?)```.*/$1/sr
    =~ s{/srv/trac}{$dir}gr);
announce(qr/PW0502 .*(?:WSGIProcessEnv|extension module)|PW0501|AH01617/);
ok($s->start, 'started');

my $front = $s->get('/wiki');
is($front->{status}, 200, 'the first page') or diag(join "\n", $s->lines(qr/PW0[24]/));
like($front->{body}, qr/Welcome to Trac|WikiStart/, 'is Trac\'s');
ok((grep { lc $_->[0] eq 'set-cookie' && $_->[1] =~ /^trac_form_token/ } @{ $front->{headers} }),
    'with its cookie');

# A browser that keeps cookies, and logs in by httpd.
my %jar;
sub visit {
    my ($path, %o) = @_;
    my @headers = (Cookie => join('; ', map { "$_=$jar{$_}" } sort keys %jar),
        Authorization => 'Basic c29tZWJvZHk6c2VjcmV0', @{ $o{headers} || [] });
    if ($o{form}) {
        my %form = (%{ $o{form} }, __FORM_TOKEN => $jar{trac_form_token});
        $o{body} = join '&', map { my $v = $form{$_};
            $v =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge; "$_=$v" } sort keys %form;
        push @headers, 'Content-Type' => 'application/x-www-form-urlencoded';
    }
    my $a = $s->get($path, method => $o{form} ? 'POST' : 'GET', headers => \@headers,
        defined $o{body} ? (body => $o{body}) : ());
    for my $pair (grep { lc $_->[0] eq 'set-cookie' } @{ $a->{headers} }) {
        $jar{$1} = $2 if $pair->[1] =~ /^([^=]+)=([^;]*)/;
    }
    return $a;
}
visit('/wiki');
is($s->get('/login')->{status}, 401, 'httpd asks for a password');
my $login = visit('/login');
ok($login->{status} == 302 || $login->{status} == 303, "logged in: $login->{status}");
like(visit('/wiki')->{body}, qr/somebody/, 'Trac knows who');
my $edit = visit('/wiki/FromTheTest', form => { action => 'edit', version => 0, save => 'x',
    text => "= A page of the test =\n", comment => 'made', author => 'somebody' });
cmp_ok($edit->{status}, '<', 400, 'a page is saved');
like(visit('/wiki/FromTheTest')->{body}, qr/A page of the test/, 'and there');
my $new = visit('/newticket', form => { field_summary => 'A ticket of the test',
    field_reporter => 'somebody', field_description => 'x', field_type => 'defect',
    field_status => 'new', action => 'create', submit => 'Create' });
cmp_ok($new->{status}, '<', 400, 'a ticket is made');
like(visit('/ticket/1')->{body}, qr/A ticket of the test/, 'and there');
like(visit('/about')->{body}, qr/Trac/, 'the about page');
ok(scalar $s->lines(qr/PW0200 .*loaded in \d+ ms/), 'it loaded by itself');
diag(($s->lines(qr/PW0200/))[0] =~ s/.*PW0200 //r);
$s->stop;
finish();
