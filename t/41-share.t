# SPDX-License-Identifier: Apache-2.0
# Several applications in one interpreter.
use PWTest;

my ($a, $b);
my $same = wait_for {
    $a = get_json('/share/a/x');
    $b = get_json('/share/b');
    ($a->{pid} || 0) == ($b->{pid} || -1);
};
ok($same, 'one process runs both');
is($a->{interpreter}, 'shared', 'the first in the group');
is($b->{interpreter}, 'shared', 'and the second');
isnt($a->{module}, $b->{module}, 'two modules of their own');
is($a->{script_name}, '/share/a', 'each knows its mount');
is($b->{script_name}, '/share/b', 'each knows its mount');
is_deeply([ @{ $b->{calls} }[-2, -1] ], ['a', 'b'],
    'and both see the same sys.modules');

finish();
