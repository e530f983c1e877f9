# SPDX-License-Identifier: Apache-2.0
# The C units that make check-unit has built, once more from here: a run of
# t/run alone proves them too.
use PWTest;

my @units = grep { -x && -f } glob "$ENV{PW_T_BUILD}/t/unit/test_* "
    . "$ENV{PW_T_BUILD}/unit/test_* $ENV{PW_T_BUILD}/test_*";
@units = grep { !/\.(?:o|d|c|log)$/ } @units;
plan skip_all => 'no unit binaries: make check-unit builds them' if !@units;

for my $unit (@units) {
    my $said   = qx(cd '$ENV{PW_T_DIR}/var' && '$unit' 2>&1);
    my $status = $?;
    my ($name) = $unit =~ m{([^/]+)$};
    is($status, 0, "$name ends well");
    my $count = () = $said =~ /^ok /mg;
    cmp_ok($count, '>', 0, "$name: $count tests passed");
    unlike($said, qr/^not ok/m, "$name: none failed") or diag($said);
}

finish();
