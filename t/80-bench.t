# SPDX-License-Identifier: Apache-2.0
# The benchmark works: one quick run of it, every workload of ours and of the
# bare handler answered without an error, every figure there. No time is judged.
# And what configure says of a libpython that is not optimised.
use PWTest;

plan skip_all => 'the benchmark runs the event MPM' if mpm() ne 'event';
plan skip_all => 'nothing to measure under a sanitizer' if $ENV{PW_T_SANITIZER};

my $var  = "$ENV{PW_T_DIR}/var";
my $home = "$ENV{PW_T_VENVS}/web";
my $said = qx(TMPDIR='$var' '$ENV{PW_T_PYTHON}' '$ENV{PW_T_SRC}/t/bench/bench.py' \\
    --quick --json '$var/bench.json' --python-home '$home' \\
    --module '$ENV{PW_T_MODULE}' --httpd '$ENV{PW_T_HTTPD}' \\
    --apxs '$ENV{PW_T_APXS}' 2>&1);
is($?, 0, 'bench.py --quick ends well') or diag($said);
my $result = -f "$var/bench.json" ? JSON::PP::decode_json(read_text("$var/bench.json")) : {};

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

# What configure says of the libpython, by what that says of itself.
my $probe = qx('$ENV{PW_T_PYTHON}' -E '$ENV{PW_T_SRC}/tools/probe_python.py');
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
