# SPDX-License-Identifier: Apache-2.0
# A child dies: the parent's log says what was in flight in it, and the counters
# go on. Other ends of a child are no crash.
use PWTest;
use PWTest::Server;

my $server = PWTest::Server->new(name => 'dies', conf => <<'END_CONF');
WSGIScriptAlias /crash @DIR@/apps/crash.py application-group=crash
WSGIScriptAlias /near @DIR@/apps/near.py application-group=near
<Location /wsgi-status>
    SetHandler wsgi-status
</Location>
END_CONF
my $dir = $server->{dir};
$server->app('near.py', <<'END_APP');
import os
import time

def application(environ, start_response):
    while "hold" in environ["PATH_INFO"] and not os.path.exists(environ["HTTP_X_UNTIL"]):
        time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]
END_APP
$server->app('crash.py', <<'END_APP');
import ctypes
import os
import resource
import signal

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

def application(environ, start_response):
    way = environ["PATH_INFO"].split("/")[1]
    if way == "abort":
        os.abort()
    if way == "null":
        ctypes.memset(0, 1, 1)
    if way == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)
END_APP
# What httpd itself says; a child that exits by itself is none of its errors.
announce(qr/PW013[01]/, qr/AH0005[012]|AH00545|AH00546/, qr/Fatal Python error|^\s|^$/,
    qr/^(?:Current thread|Thread|Stack|Extension modules|<C|Python)/);
ok($server->start, 'started');

sub status { return $server->get_json('/wsgi-status?format=json') }

sub interpreter {
    my ($name) = @_;
    return (grep { $_->{name} eq $name } @{ status()->{interpreters} })[0];
}

# Ends when a line is there; returns those since the mark.
sub lines_since {
    my ($mark, $pattern) = @_;
    return wait_for {
        my @all = log_since($mark, $server->{log});
        (grep { $_ =~ $pattern } @all) ? [ grep { /PW013\d/ } @all ] : 0;
    };
}

my $lost = 0;
my @ways = (
    { name => 'abort' },
    { name => 'kill' },
    { name => 'exit' },
);
# A sanitizer reports this one itself.
push @ways, { name => 'null' } if !$ENV{PW_T_SANITIZER};
cases(sub {
    my ($case) = @_;
    my $mark  = log_mark($server->{log});
    my $pid   = $server->get('/near/')->{body};
    my $other = threaded() ? $server->connect : undef;
    if ($other) {
        $other->send(PWTest::HTTP::head(path => '/near/hold%0A%1B[31m/' . 'x' x 300 . '?SECRET=1',
            headers => [ 'X-Until' => "$dir/var/never" ]));
        ok(wait_for { interpreter('near')->{running} == 1 }, 'another request is running');
    }
    my $a = $server->get("/crash/$case->{name}/here?SECRET=2");
    is($a->{status}, 0, 'the crashing request is not answered');
    ok($other->closed, 'nor the other one') if $other;
    my @said = @{ lines_since($mark, qr/PW0131 crash/) || [] };
    my $n = $other ? 2 : 1;
    is(scalar(grep { /PW0130 polywsgi: child \d+ died with $n requests/ } @said), 1,
        'one record that the child died') or diag("@said");
    my ($crash) = grep { /PW0131 crash/ } @said;
    like($crash, qr{PW0131 crash \(main\.test:\d+/crash\): in flight when child \d+ died: GET /crash/$case->{name}/here, for \d+ ms, in the phase application},
        'what made it die');
    if ($other) {
        my ($near) = grep { /PW0131 near/ } @said;
        like($near, qr{GET /near/hold%0A%1B\[31m/x{150,180}, for}, 'and what died with it');
    }
    unlike("@said", qr/SECRET/, 'without queries');
    $lost++;
    ok(wait_for { $server->get('/near/')->{status} == 200 }, 'a new child serves');
    isnt($server->get('/near/')->{body}, $pid, 'it is another one') if threaded();
    is(interpreter('crash')->{lost}, $lost, 'its requests are counted as lost');
    is(interpreter('crash')->{accepted}, $lost, 'and as accepted');
    is(interpreter('near')->{lost}, $lost, 'those of others likewise') if $other;
    is(interpreter('near')->{in_flight}, 0, 'none is in flight');
}, @ways);

subtest 'an idle child is killed' => sub {
    my $mark = log_mark($server->{log});
    my ($child) = $server->children;
    kill KILL => $child;
    my $said = lines_since($mark, qr/PW0132/) || [];
    like("@$said", qr/:info\] .*PW0132 polywsgi: child $child did not end in order/,
        'a record of level info');
    ok(wait_for { $server->get('/near/')->{status} == 200 }, 'a new child serves');
};

subtest 'an end in order' => sub {
    my $mark = log_mark($server->{log});
    my @old = $server->children;
    $server->signal('USR1');
    ok(wait_for { my %now = map { ($_ => 1) } $server->children; !grep { $now{$_} } @old },
        'a graceful restart');
    is(interpreter('crash')->{lost}, $lost, 'keeps what was counted');
    # More than the child has time for: it leaves by the keeper's hand.
    my $conn = $server->connect;
    $conn->send(PWTest::HTTP::head(path => '/near/hold/',
        headers => [ 'X-Until' => "$dir/var/never" ]));
    ok(wait_for { interpreter('near')->{running} == 1 || !threaded() }, 'a request runs');
    announce(qr/PW019[12]/, qr/AH00045|AH00046/);
    ok(defined $server->stop(busy => 1), 'httpd is stopped');
    my @said = grep { /PW013\d/ } log_since($mark, $server->{log});
    is("@said", '', 'neither is a crash');
};

finish();
