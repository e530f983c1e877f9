# SPDX-License-Identifier: Apache-2.0
# The benchmark works: one quick run of it, every workload of ours and of the
# bare handler answered without an error, every figure there. No time is judged.
# And what configure says of a libpython that is not optimised.
use PWTest;
use PWTest::Server;

plan skip_all => 'the benchmark runs the event MPM' if mpm() ne 'event';
plan skip_all => 'nothing to measure under a sanitizer' if $ENV{PW_T_SANITIZER};
plan skip_all => 'the benchmark takes a Python where it lies, and only root can read this one'
    if $ENV{PW_T_PYTHON_HOME};
plan skip_all => 'once as root is enough: it takes a minute' if $> != 0;

my $var  = "$ENV{PW_T_DIR}/var";
my $home = "$ENV{PW_T_VENVS}/web";
my $long = "$var/" . 'long' x 16;
mkdir $long;

# (what it printed, what it wrote) with such options; it ended well.
sub bench {
    my ($name, @options) = @_;
    my $said = qx(TMPDIR='$long' '$ENV{PW_T_PYTHON}' '$ENV{PW_T_SRC}/t/bench/bench.py' \\
        --quick --json '$var/$name.json' --python-home '$home' \\
        --module '$ENV{PW_T_MODULE}' --httpd '$ENV{PW_T_HTTPD}' \\
        --apxs '$ENV{PW_T_APXS}' @options 2>&1);
    is($?, 0, "bench.py --quick @options ends well") or diag($said);
    my $file = "$var/$name.json";
    return ($said, -f $file ? JSON::PP::decode_json(read_text($file)) : {});
}

my ($said, $result) = bench('bench');

my %yardstick = (hello => 'bare', browser => 'bare', bytes => 'static',
    file => 'static', upload => 'bare');
my @plain = (keys %yardstick, qw(json io cpu1 cpu10 two mix));
my @frameworks = grep { my $name = $_; grep { -d } glob "$home/lib/python*/site-packages/$name" }
    qw(flask django);
cases(sub {
    my ($case) = @_;
    my $work = $result->{workloads}{ $case->{name} } || {};
    is_deeply($work->{wrong}, {}, 'every answer was the right one');
    for my $who ('ours', grep { $_ } $yardstick{ $case->{name} }) {
        my $one = $work->{results}{$who} || {};
        is($one->{errors}, 0, "$who: no errors");
        cmp_ok($one->{$_} // 0, '>', 0, "$who: $_") for qw(requests rate cpu p50 p99);
    }
}, map { { name => $_ } } sort @plain, @frameworks);

for my $who (qw(ours bare static)) {
    cmp_ok($result->{servers}{$who}{$_} // 0, '>', 0, "$who: $_") for qw(Rss Pss processes);
}
ok($result->{versions}{$_}, "versions: $_") for qw(httpd python machine);
like($said, qr/^\| hello \| \d+ \| [\d.]+ \|/m, 'the table has ours, and a ratio');

like($said, qr/^\| mod_polywsgi \| 0 \| \d+ \|$/m, 'the table of errors');

# A peer that is one of Python's packages, by itself and behind mod_proxy.
my @peers = qw(gunicorn gunicorn-proxy);
SKIP: {
    skip 'no gunicorn', 5 if !glob "$home/lib/python*/site-packages/gunicorn";
    ($said, $result) = bench('peers', '--workloads', 'hello', '--peers', join ',', @peers);
    for my $who (@peers) {
        skip "$who: no mod_proxy_http", 2
            if $who eq 'gunicorn-proxy' && !PWTest::Server::has(qw(proxy proxy_http));
        my $one = $result->{workloads}{hello}{results}{$who} || {};
        cmp_ok($one->{rate} // 0, '>', 0, "$who answers") or diag($said);
        is($one->{errors}, 0, 'without an error');
    }
}

# With a libpython that LoadFile loads: the linked one, for there is no other.
my $probe = qx('$ENV{PW_T_PYTHON}' -E '$ENV{PW_T_SRC}/tools/probe_python.py');
my ($library) = $probe =~ /^pw_py_library='(.*)'/m;
(undef, $result) = bench('libpython', '--workloads', 'hello', '--libpython', $library);
is($result->{versions}{libpython}, $library, 'the library was named');
is($result->{workloads}{hello}{results}{ours}{errors}, 0, 'it serves');

# What configure says of the libpython, by what that says of itself.
mkdir "$var/configure";
my $heard = qx(cd '$var/configure' && '$ENV{PW_T_SRC}/configure' \\
    --with-apxs='$ENV{PW_T_APXS}' --with-python='$ENV{PW_T_PYTHON}' 2>&1);
is($?, 0, 'configure ends well') or diag($heard);
my $warning = qr/WARNING: .* without profile-guided optimisation/;
if ($probe =~ /optimized='yes'/) {
    unlike($heard, $warning, 'it does not warn of an optimised libpython');
}
else {
    like($heard, $warning, 'it warns of a libpython that is not optimised');
}

finish();
