# SPDX-License-Identifier: Apache-2.0
# Two applications in one process that see nothing of each other: the same
# package by name, in two versions from two virtual environments.
use PWTest;

# Every process that may answer must be marked, so ask until both have been
# asked in one process.
my ($red, $blue);
my $same = wait_for {
    $red  = get_json('/red/look');
    $blue = get_json('/blue/look');
    ($red->{pid} || 0) == ($blue->{pid} || -1);
};
ok($same, 'one process runs both');

is($red->{version}, '1.0', 'red has the first version of the package');
is($blue->{version}, '2.0', 'blue has the second');
is($red->{colour}, 'red', 'of its own environment');
is($blue->{colour}, 'blue', 'of its own environment');
is($red->{prefix}, "$ENV{PW_T_VENVS}/red", 'sys.prefix');
is($blue->{prefix}, "$ENV{PW_T_VENVS}/blue", 'sys.prefix');
like($red->{executable}, qr{/red/bin/python}, 'sys.executable');
is($red->{environ}{PW_COLOUR}, 'red', 'WSGISetEnv of its own block');
is($blue->{environ}{PW_COLOUR}, 'blue', 'WSGISetEnv of its own block');
ok((grep { $_ eq 'PW_COLOUR=red' } @{ $red->{child} }), 'its children see it');
ok((grep { m{/apps/lib$} } @{ $red->{path} }), 'WSGIPythonPath of red');
ok(!(grep { m{/apps/lib$} } @{ $blue->{path} }), 'is not in blue');

my $first = $blue;
my $pid;
for (1 .. 100) {
    $red = get_json('/red/mark?redword');
    $pid = $red->{pid};
    last if $pid == $blue->{pid};
}
is($pid, $blue->{pid}, 'red was marked in the process of blue');

subtest 'red sees its own marks' => sub {
    is($red->{seen}[-1], 'redword', 'a list in a module');
    is($red->{digits}, 'redword', 'a patched module of the library');
    is($red->{marked}, 'redword', 'a patched class');
    is($red->{path}[-1], '/redword', 'sys.path');
    is_deeply($red->{made}, ['made_redword'], 'sys.modules');
    cmp_ok($red->{handlers}, '>', 0, 'handlers of logging');
    is($red->{level}, 50, 'levels of logging');
    is($red->{level_name}, 'redword', 'level names of logging');
    ok((grep { /redword/ } @{ $red->{warnings} }), 'filters of warnings');
    is($red->{environ}{PW_MARK}, 'redword', 'os.environ');
    ok((grep { $_ eq 'PW_MARK=redword' } @{ $red->{child} }),
        'and so do its child processes');
    is($red->{local}, 'redword', 'threading.local');
    is($red->{limit}, 1007, 'the recursion limit');
};

subtest 'blue sees nothing of it' => sub {
    my $now = wait_for {
        my $found = get_json('/blue/look');
        $found->{pid} == $pid && $found;
    };
    ok($now, 'in the same process') or return;
    delete $_->{local} for $now, $first;
    is_deeply($now, $first, 'everything is as it was');
    unlike(join(' ', @{ $now->{child} }), qr/redword|PW_MARK/,
        'its child processes see nothing either');
};

subtest 'and the other way' => sub {
    my $marked = wait_for {
        my $found = get_json('/blue/mark?blueword');
        $found->{pid} == $pid && $found;
    };
    ok($marked, 'blue was marked in that process') or return;
    is($marked->{digits}, 'blueword', 'it sees its mark');
    my $now = wait_for {
        my $found = get_json('/red/look');
        $found->{pid} == $pid && $found;
    };
    is($now->{digits}, 'redword', 'red keeps its own');
    is($now->{environ}{PW_MARK}, 'redword', 'in os.environ too');
    is($now->{limit}, 1007, 'and the recursion limit');
    ok(!$now->{environ}{PW_MARK_BLUEWORD}, 'and has not the other');
    unlike(join(' ', @{ $now->{child} }), qr/blueword/i,
        'nor have its child processes');
};

subtest 'third parties are untouched' => sub {
    # Only a process of several threads is sure to have all of them.
    plan skip_all => 'needs one process' if !threaded();
    my $main = get_json('/global');
    is($main->{pid}, $pid, 'the main interpreter of that process');
    ok(!$main->{environ}{PW_MARK}, 'has no mark in environ');
    is($main->{isolation}, 'main', 'is main');
    is(get_json('/gilled')->{isolation}, 'shared-gil', 'shared-gil as configured');
    my $want = python_at_least(13) ? 'own-gil' : 'shared-gil';
    is(info()->{isolation}, $want, "the default here is $want");
};

finish();
