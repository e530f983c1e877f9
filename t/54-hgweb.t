# SPDX-License-Identifier: Apache-2.0
# hgweb, in the main interpreter: pages, a clone and a push. The
# configuration is that of docs/hgweb.md.
use PWTest;
use PWTest::Server;

plan skip_all => 'no Mercurial for this Python (package mercurial)'
    if !imports('mercurial') || system('hg --version >/dev/null 2>&1') != 0;

my $s = PWTest::Server->new(name => 'hgweb', conf => '');
my $dir = $s->{dir};
my $page = read_text("$ENV{PW_T_SRC}/docs/hgweb.md");
$s->{conf} = PWTest::Server::page_conf('hgweb.md', '/srv/hg' => $dir, 'hg.example.org' => 'main.test');
write_text("$dir/hgweb.wsgi", $page =~ s/.*```python\n(.*?)```.*/$1/sr =~ s{/srv/hg}{$dir}gr);
write_text("$dir/hgweb.config", $page =~ s/.*```ini\n(.*?)```.*/$1/sr =~ s{/srv/hg}{$dir}gr);
write_text("$dir/users", 'somebody:' . crypt('secret', 'ab') . "\n");
mkdir "$dir/repos" or die $!;

sub hg {
    my ($where, @args) = @_;
    my $said = qx(cd '$where' && HGUSER=test HGPLAIN=1 HGRCPATH= hg @args 2>&1);
    return ($? >> 8, $said);
}
is((hg($dir, 'init repos/one'))[0], 0, 'a repository');
write_text("$dir/repos/one/file.txt", "first\n");
hg("$dir/repos/one", 'commit -A -m first');
system 'chmod', '-R', 'a+rwX', "$dir/repos";
# Mercurial trusts no hgrc of another user; nor needs any.
announce(qr/PW0501|AH01617|AH01618|PW0502/);
ok($s->start, 'started');

my $list = $s->get('/');
is($list->{status}, 200, 'the list') or diag(join "\n", $s->lines(qr/PW0[24]/));
like($list->{body}, qr/\bone\b/, 'names the repository');
like($s->get('/one/')->{body}, qr/first/, 'its page');
like($s->get('/one/raw-file/tip/file.txt')->{body}, qr/^first$/m, 'a file of it');

my ($status, $said) = hg($dir, "clone http://127.0.0.1:$s->{port}/one copy");
is($status, 0, 'a clone') or diag($said);
is(read_text("$dir/copy/file.txt"), "first\n", 'has the file');
write_text("$dir/copy/file.txt", "first\nsecond\n");
hg("$dir/copy", 'commit -m second');
($status, $said) = hg("$dir/copy", '--noninteractive push');
isnt($status, 0, 'a push without a password is refused');
($status, $said) = hg("$dir/copy", "push http://somebody:secret\@127.0.0.1:$s->{port}/one");
is($status, 0, 'a push with one') or diag($said);
like($s->get('/one/raw-file/tip/file.txt')->{body}, qr/^second$/m, 'arrives');
ok(scalar $s->lines(qr/PW0200 .*loaded in \d+ ms/), 'it loaded by itself');
diag(($s->lines(qr/PW0200/))[0] =~ s/.*PW0200 //r);
$s->stop;

subtest 'in an interpreter with a GIL of its own' => sub {
    plan skip_all => 'this Python has none' if info()->{isolation} ne 'own-gil';
    announce(qr/PW0502 .*extension module|PW020[1-6]|PW0401|PW0501/);
    $s->{conf} =~ s/WSGIIsolation main/WSGIIsolation own-gil/ or die;
    ok($s->start, 'started');
    $s->get('/');
    ok((grep { /_curses|mercurial/ } $s->lines(qr/PW0502 .*extension module|PW0203|PW0204/)),
        'the log names what refuses');
    $s->stop;
};
finish();
