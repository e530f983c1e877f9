# SPDX-License-Identifier: Apache-2.0
# Code and documentation say the same: directives, log codes, states, links.
use PWTest;

my $said = qx(cd '$ENV{PW_T_SRC}' && python3 tools/docs.py 2>&1);
is($?, 0, 'tools/docs.py is content');
my @results = $said =~ /^((?:not )?ok \d+ - .*)$/mg;
cmp_ok(scalar @results, '>', 5, 'and has looked');
for my $result (@results) {
    my ($bad, $what) = $result =~ /^(not )?ok \d+ - (.*)$/;
    ok(!$bad, $what);
}
diag($said) if $said =~ /^not ok/m || !@results;

finish();
