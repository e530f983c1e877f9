# SPDX-License-Identifier: Apache-2.0
# The control sockets, and the commands that ask there: status, stacks,
# wait-ready; who may ask, and what hostile clients get.
use PWTest;
use PWTest::Server;
use IO::Socket::UNIX;
use JSON::PP;
use POSIX ();
use Socket qw(SOCK_STREAM);
use Time::HiRes qw(time);

my $root    = $> == 0;
my $own_gil = python_at_least(13);
my $server  = PWTest::Server->new(name => 'control', conf => <<'END_CONF');
WSGIScriptAlias /app @DIR@/apps/app.py application-group=app
WSGIScriptAlias /other @DIR@/apps/app.py application-group=other
WSGIScriptAlias /main @DIR@/apps/app.py application-group=%{GLOBAL}
WSGIScriptAlias /shared @DIR@/apps/app.py interpreter=shared
<WSGIInterpreter shared>
    WSGIIsolation shared-gil
</WSGIInterpreter>
WSGIConcurrency 6
WSGIQueueLimit 1
END_CONF
my $dir     = $server->{dir};
my $sockets = "$dir/polywsgi";
my $go      = "$dir/var/go";
$server->app('app.py', <<'END_APP');
import ctypes
import os
import time

def wait_for_file(path):
    while not os.path.exists(path):
        time.sleep(0.01)

def burn_until(path):
    while not os.path.exists(path):
        for _ in range(10000):
            pass

def hold_the_gil(path):
    ctypes.PyDLL(None).usleep(6000000)
    wait_for_file(path)

def größe(path):
    wait_for_file(path)

WAYS = {"wait": wait_for_file, "burn": burn_until, "hold": hold_the_gil, "odd": größe}

def application(environ, start_response):
    way = WAYS.get(environ["PATH_INFO"].split("/")[1])
    if way:
        way(environ["HTTP_X_UNTIL"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
END_APP
announce(qr/PW01[23]\d|PW0201|PW0205|PW0206|PW0191|PW0192|PW0105|PW017[0-4]/, qr/PW00\d\d/,
    qr/AH0005[12]|AH00045|AH00490|AH00493|AH00288|AH00484|AH00286/);

# As another user where there is one: (exit status, output, errors).
sub as_user {
    my ($user, @command) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', "$dir/var/out.$$";
        open STDERR, '>', "$dir/var/err.$$";
        if ($user) {
            my ($uid, $gid) = (getpwnam $user)[2, 3];
            POSIX::setgid($gid);
            local $) = "$gid $gid";
            POSIX::setuid($uid);
        }
        exec @command or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    my @said = map { read_text("$dir/var/$_.$pid") } qw(out err);
    unlink "$dir/var/out.$pid", "$dir/var/err.$pid";
    return ($? >> 8, @said);
}

sub polywsgi {
    my ($command, @args) = @_;
    return as_user(undef, "$ENV{PW_T_BUILD}/polywsgi", $command, '--httpd', $ENV{PW_T_HTTPD},
        '-f', "$dir/httpd.conf", @args);
}

# By the copy of a Python that only root can read, where it is one.
sub ask_as {
    my ($user, $command, @args) = @_;
    my $home = $ENV{PW_T_PYTHON_HOME};
    local $ENV{LD_LIBRARY_PATH} = "$home/lib" if $home;
    return as_user($user, $home ? "$home/bin/python3" : (), "$ENV{PW_T_BUILD}/polywsgi",
        $command, '--socket-dir', $sockets, @args);
}

# Requests that stay until the file is there.
sub hang {
    my (@paths) = @_;
    unlink $go;
    return map {
        my $conn = $server->connect;
        $conn->send(PWTest::HTTP::head(path => $_, headers => [ 'X-Until' => $go ]));
        $conn;
    } @paths;
}

sub release {
    my (@conns) = @_;
    write_text($go, '');
    return grep { $_->response->{status} != 200 } @conns;
}

sub socket_names {
    opendir my $handle, $sockets or return ();
    my @names = sort grep { /sock/ } readdir $handle;
    return @names;
}

# stacks, until it says something.
sub stacks_until {
    my ($pattern, @args) = @_;
    my $said;
    wait_for { $said = (polywsgi('stacks', @args))[1]; $said =~ $pattern };
    return $said;
}

ok($server->start, 'started');

# ---- ready, status ----

subtest 'ready' => sub {
    my ($status, $said, $error) = polywsgi('wait-ready');
    is($status, 0, 'all are loaded') or diag($said . $error);
    like($said, qr/^4 loaded, 0 failed, 0 not asked for yet, in 1 child$/m, 'it says so');
    is($error, '', 'nothing else');
    is(scalar socket_names(), scalar $server->children, 'a socket for each child');
};

subtest 'status' => sub {
    is($server->get('/app/x')->{status}, 200, 'a request') for 1 .. 3;
    my ($status, $said, $error) = polywsgi('status');
    is($status, 0, 'it works') or diag($error);
    my $isolation = $own_gil ? 'own-gil' : 'shared-gil';
    like($said, qr/^INTERPRETER +STATE +ISOLATION .* LAST ERROR$/m, 'a table');
    like($said, qr/^app +ready +$isolation +\d READY +0 +0 +3 +0 +0 +0 +\S+ m?s +\S+ m?s +-$/m,
        'an interpreter');
    like($said, qr/^CHILD +GENERATION .*\n\d+ +0 +\S+ s +3\.\d+\.\d+\S* +0 +-$/m, 'a child');
    my ($json_status, $json) = polywsgi('status', '--json');
    my $all = decode_json($json);
    is($all->{interpreters}{app}{served}{'2xx'}, 3, 'as JSON');
    my $children = $all->{children};
    is(scalar @$children, scalar $server->children, 'of each child');
    is_deeply([ sort map { $_->{name} } @{ $children->[0]{status}{interpreters} } ],
        [ sort '%{GLOBAL}', 'app', 'other', 'shared' ], 'what wsgi-status has for it');
};

# ---- stacks ----

subtest 'nothing is in flight' => sub {
    my ($status, $said) = polywsgi('stacks');
    is($status, 0, 'it works');
    is($said, "0 requests in flight\n", 'and says so');
};

cases(sub {
    my ($case) = @_;
    my ($conn) = hang($case->{path});
    my $said   = stacks_until($case->{says});
    like($said, $case->{says}, 'what is asked for');
    like($said, qr/^child \d+, \S.* \(main\.test:\d+\/\w+\): GET \Q$case->{path}\E, for \S+ m?s \(queue \S+ m?s, attach \S+ m?s, application \S+ m?s\)$/m,
        'the request and its times');
    like($said, qr/^  File "\Q$dir\E\/apps\/app\.py", line \d+, in application\n  File/m,
        'the outer call first') if !$case->{no_stack};
    like($said, qr/^1 request in flight$/m, 'one');
    unlike($said, qr/[^\n\x20-\x7e]/, 'nothing but ASCII');
    is(release($conn), 0, 'answered');
}, { name => 'a request that waits', path => '/app/wait', says => qr/^  File .*, line 7, in wait_for_file$/m },
    { name => 'one that computes', path => '/app/burn', says => qr/, in burn_until$/m },
    { name => 'in the main interpreter', path => '/main/wait', says => qr/, in wait_for_file$/m },
    { name => 'a strange name', path => '/app/odd', says => qr/, in gr\\xf6\\xdfe$/m });

subtest 'of one interpreter' => sub {
    plan skip_all => 'two requests at once' if !threaded();
    my @conns = hang('/app/wait', '/other/wait');
    stacks_until(qr/^2 requests in flight/m);
    like((polywsgi('stacks', 'other'))[1], qr/GET \/other\/wait.*\n1 request in/s, 'by its name');
    like((polywsgi('stacks', "app (main.test:$server->{port}/app)"))[1],
        qr/GET \/app\/wait.*\n1 request in/s, 'by that of an application');
    is((polywsgi('stacks', 'nothing'))[1], "0 requests in flight\n", 'none');
    is(release(@conns), 0, 'answered');
};

subtest 'one that waits in the queue' => sub {
    plan skip_all => 'one request at a time' if !threaded();
    my @conns = hang(('/app/wait') x 7);
    my $queue = qr/GET \/app\/wait, for \S+ m?s \(queue \S+ m?s\)\n  it waits for a place, or for its application to load$/m;
    my $said;
    ok(wait_for {
        $said = (polywsgi('stacks'))[1];
        6 == (() = $said =~ /in wait_for_file$/mg) && $said =~ $queue;
    }, 'six run, and one has no stack');
    like($said, qr/^7 requests in flight/m, 'all are told of');
    ok(wait_for {
        my ($seconds) = (polywsgi('stacks'))[1] =~ /\(queue (\S+) s\)\n/;
        ($seconds // 0) > 1;
    }, 'and how long it has waited');
    is(release(@conns), 0, 'answered');
};

subtest 'a call holds the GIL' => sub {
    my ($conn) = hang('/app/hold/it');
    my $from = time;
    my $said = stacks_until(qr/GIL is held/);
    like($said, qr/interpreter app: no stacks .* GIL is held, .*: app \(\S+\): GET \/app\/hold\/it, for \S+ m?s \(/,
        'it says by which request');
    unlike($said, qr/in hold_the_gil/, 'there are no stacks');
    like($said, qr/its stack cannot be had/, 'it says so');
    if ($own_gil && threaded()) {
        my ($other) = hang('/other/wait');
        like(stacks_until(qr/in wait_for_file/, 'other'), qr/in wait_for_file/,
            'another interpreter is not touched');
        is(release($other), 0, 'it is answered');
    }
    like(stacks_until(qr/in hold_the_gil|^0 requests/m), qr/in hold_the_gil|^0/m, 'afterwards there are');
    is(release($conn), 0, 'answered');
};

subtest 'a call holds the GIL of others too' => sub {
    my ($conn) = hang('/main/hold/it');
    my $said = stacks_until(qr/GIL is held/, 'shared');
    like($said, qr/interpreter shared: no stacks .* GIL is held, .*: \S.* \(\S+\/main\): GET \/main\/hold\/it,/,
        'it says by which request of which other one');
    is(release($conn), 0, 'answered');
    ($conn) = hang('/shared/wait');
    like(stacks_until(qr/in wait_for_file/, 'shared'), qr/GET \/shared\/wait, .*in wait_for_file\n/s,
        'afterwards there are stacks');
    is(release($conn), 0, 'answered');
};

subtest 'all threads hang' => sub {
    plan skip_all => 'one process serves one request' if !threaded();
    my $before = $server->{conf};
    $server->write_conf($before =~ s/WSGIConcurrency 6/WSGIConcurrency 20/r);
    $server->signal('HUP');
    ok(wait_for { ($server->lines(qr/resuming normal operations/)) > 1 }, 'restarted');
    is((polywsgi('wait-ready'))[0], 0, 'ready');
    my @conns = hang(('/app/wait') x 16);
    my $said  = stacks_until(qr/^16 requests in flight/m);
    is(() = $said =~ /in wait_for_file$/mg, 16, 'the stack of each');
    my $conn = $server->connect;
    $conn->send(PWTest::HTTP::head(path => '/app/x'));
    my $from = time;
    my ($status, $table) = polywsgi('status');
    is($status, 0, 'status needs no thread of httpd');
    like($table, qr/^app +ready .* READY +16 /m, 'and sees them run');
    cmp_ok(time - $from, '<', 10, 'soon');
    is(release(@conns), 0, 'answered');
    is($conn->response->{status}, 200, 'and who waited');
};

# ---- who may ask ----

sub raw {
    my ($bytes, $name) = @_;
    my $sock = IO::Socket::UNIX->new(Type => SOCK_STREAM,
        Peer => "$sockets/" . ($name // (socket_names())[0])) or return "none: $!";
    local $SIG{PIPE} = 'IGNORE';
    $sock->syswrite($bytes);
    local $/ = undef;
    return <$sock> // '';
}

subtest 'modes' => sub {
    is((stat $sockets)[2] & 07777, 0711, 'of the directory');
    is((stat "$sockets/" . (socket_names())[0])[2] & 07777, 0600, 'of a socket');
    is((stat $sockets)[4], $root ? (getpwnam $ENV{PW_T_USER})[2] : $>, 'its owner');
};

subtest 'who may not' => sub {
    plan skip_all => 'only root can become another' if !$root;
    my ($status, $said, $error) = ask_as($ENV{PW_T_USER}, 'status');
    is($status, 2, 'the run-time user');
    like($error, qr/child \d+ you may not ask: root may/, 'is told why');
    is($said, '', 'and nothing else');
    like((ask_as('games', 'status'))[2], qr/child \d+ you may not ask: its socket is closed/,
        'another one finds it closed');
    is((ask_as($ENV{PW_T_USER}, 'wait-ready', '--timeout', '9'))[0], 2, 'wait-ready does not wait');
    my $records = () = $server->lines(qr/PW0174 polywsgi: user \d+ has asked/);
    cmp_ok($records, '<=', scalar $server->children, 'one record of it in a child');
    cmp_ok($records, '>', 0, 'at least one');
};

subtest 'WSGIControlUser' => sub {
    my $before = $server->{conf};
    my $name   = $root ? 'games' : (getpwuid $>)[0];
    $server->write_conf("$before\nWSGIControlUser $name" . ($root ? ' daemon #12345' : ''));
    my $mark = () = $server->lines(qr/resuming normal operations/);
    $server->signal('HUP');
    ok(wait_for { ($server->lines(qr/resuming normal operations/)) > $mark }, 'restarted');
    is((ask_as($root && $name, 'wait-ready'))[0], 0, 'may wait');
    my ($status, $said, $error) = ask_as($root && $name, 'status');
    is($status, 0, 'and ask') or diag($error);
    like($said, qr/^app +ready/m, 'and is answered');
    if ($root) {
        is((stat "$sockets/" . (socket_names())[0])[2] & 07777, 0666, 'the mode of a socket');
        like((ask_as('bin', 'stacks'))[2], qr/you may not ask: root may/, 'others may not');
        like((ask_as($ENV{PW_T_USER}, 'stacks'))[2], qr/you may not ask/, 'nor the run-time user');
        $server->write_conf("$before\nWSGIControlUser $ENV{PW_T_USER}");
        $server->signal('HUP');
        ok(wait_for { $server->lines(qr/PW0173/) }, 'who cannot be named');
        is((polywsgi('wait-ready'))[0], 0, 'ready');
        like((ask_as($ENV{PW_T_USER}, 'stacks'))[2], qr/you may not ask/, 'and gets no answer');
    }
    $server->write_conf("$before\nWSGIControlUser nobody-of-that-name");
    my ($test_status, $test) = $server->run('-t');
    isnt($test_status, 0, 'an unknown name is an error');
    like($test, qr/WSGIControlUser nobody-of-that-name: there is no such user\. Mend/, 'with its mend');
    $server->write_conf("$before\n<VirtualHost *:80>\nWSGIControlUser #1\n</VirtualHost>");
    like(($server->run('-t'))[1], qr/WSGIControlUser cannot occur within <VirtualHost>/,
        'it stands in the main server');
    $server->write_conf($before);
};

# ---- hostile clients ----

cases(sub {
    my ($case) = @_;
    my $said = raw($case->{send});
    like($said, $case->{says}, 'the answer');
    my $answer = decode_json($said);
    is($answer->{protocol}, 1, 'is one');
    ok(grep({ $_ == $answer->{pid} } $server->children), 'of a child');
}, { name => 'a command', send => "1 ready\n", says => qr/"ready":\{"generation":\d+,/ },
    { name => 'and more', send => "1 ready\nmore\n", says => qr/"ready":/ },
    { name => 'an unknown one', send => "1 quit\n", says => qr/"error":"no such command/ },
    { name => 'another version', send => "2 ready\n", says => qr/"error":"not the protocol/ },
    { name => 'an empty line', send => "\n", says => qr/"error":"not the/ },
    { name => 'NUL', send => "1 ready\0\n", says => qr/"error":"not the/ },
    { name => 'no newline', send => 'x' x 600, says => qr/"error":"not the/ },
    { name => 'garbage', send => join('', map { chr int rand 256 } 1 .. 2000) . "\n",
        says => qr/"error":/ },
    { name => 'HTTP', send => "GET / HTTP/1.0\r\n\r\n", says => qr/"error":"not the/ },
    { name => 'quotes', send => "1 \"},\\\n", says => qr/"error":"no such/ });

# Descriptors that a process has open.
sub descriptors {
    my ($pid) = @_;
    opendir my $handle, "/proc/$pid/fd" or return -1;
    return scalar grep { /^\d/ } readdir $handle;
}

# A process that keeps so many connections open and says nothing on them: its pid.
# Whenever one is closed it makes another, until it is told to end.
sub silent_crowd {
    my ($path, $many, $crowded) = @_; # $crowded: a file to make then; or ''
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    alarm 120;
    my ($made, @all) = (0);
    while (!-e "$dir/var/enough") {
        my $sock = IO::Socket::UNIX->new(Peer => $path) or POSIX::_exit(1);
        push @all, $sock;
        shift @all if @all > $many;
        write_text($crowded, '') if $crowded && ++$made == 2 * $many;
    }
    POSIX::_exit(0);
}

subtest 'one that does not answer' => sub {
    my $mute = IO::Socket::UNIX->new(Local => "$sockets/99999994.sock", Listen => 5);
    my $from = time;
    my ($status, $said, $error) = polywsgi('status');
    my $took = time - $from;
    is($error, "polywsgi: child 99999994 does not answer within 5 s\n", 'is told');
    like($said, qr/^app +ready/m, 'the others are shown');
    cmp_ok($took, '>=', 5, sprintf 'after %.1f s', $took);
    cmp_ok($took, '<', 9, 'and not much later');
    close $mute;
    unlink "$sockets/99999994.sock";
};

# The pace of this listener leaves a place only to those who wait in connect().
subtest 'in turn' => sub {
    my $fake   = "$sockets/99999995.sock";
    my $listen = IO::Socket::UNIX->new(Local => $fake, Listen => 1) or die "$fake: $!";
    my @pids   = map { silent_crowd($fake, 1, '') } 1 .. 4;
    my $pid    = fork // die "fork: $!";
    if (!$pid) {
        $SIG{PIPE} = 'IGNORE';
        alarm 120;
        while (my $conn = $listen->accept) {
            $conn->blocking(0);
            $conn->syswrite('{"protocol":1,"error":"by turn"}');
            select undef, undef, undef, 0.02;
        }
        POSIX::_exit(0);
    }
    for (1 .. 3) {
        my ($status, $said, $error) = polywsgi('status');
        like($error, qr/child 99999995 by turn/, 'its turn came');
    }
    kill KILL => $_ for $pid, @pids;
    waitpid $_, 0 for $pid, @pids;
    close $listen;
    unlink $fake;
};

subtest 'silence' => sub {
    my ($child) = $server->children;
    my $path    = "$sockets/$child.sock";
    my $before  = descriptors($child);
    my $crowded = "$dir/var/crowded";
    my $crowd   = silent_crowd($path, 100, $crowded);
    my ($most, $bad) = (0, 0);
    for (1 .. 5) {
        my ($status, $said, $error) = polywsgi('status', '--socket-dir', $sockets);
        $bad++ if $status != 0 || $error ne '';
        diag($error) if $error;
        my $now = descriptors($child);
        $most = $now if $now > $most;
    }
    is($bad, 0, 'who asks beside them is answered each time');
    ok(wait_for { -e $crowded }, '200 have come, and said nothing');
    is($server->get('/app/x')->{status}, 200, 'requests are not touched');
    cmp_ok($most, '<=', $before + 32 + 16, "$most descriptors at most, $before before");
    write_text("$dir/var/enough", '');
    waitpid $crowd, 0;
    is($?, 0, 'all were let in');
    ok(wait_for { descriptors($child) <= $before }, 'nothing of them is left')
        or diag(descriptors($child) . " descriptors, $before before");
};

subtest '1000 connections' => sub {
    my $name = (socket_names())[0];
    my $user = $root ? $ENV{PW_T_USER} : undef;
    my ($status) = as_user($user, $^X, '-MIO::Socket::UNIX', '-e', <<'END_PERL', "$sockets/$name");
$SIG{PIPE} = 'IGNORE';
my @all;
for (1 .. 1000) {
    my $sock = IO::Socket::UNIX->new(Peer => $ARGV[0], Blocking => 0) or next;
    push @all, $sock;
    shift @all if @all > 500;
}
END_PERL
    is($status, 0, 'made');
    ok(wait_for { (polywsgi('stacks'))[0] == 0 }, 'it answers');
    is($server->get('/app/x')->{status}, 200, 'requests are not touched');
    cmp_ok($server->stop // 99, '<', 8, 'and the end is not late');
    is_deeply([ socket_names() ], [], 'no socket is left');
    ok($server->start, 'started again');
};

# ---- sockets of the dead, and of others ----

subtest 'sockets of the dead' => sub {
    is((polywsgi('wait-ready'))[0], 0, 'ready');
    my $dead = "$sockets/99999999.sock";
    IO::Socket::UNIX->new(Local => $dead, Listen => 1)->close;
    ok(-S $dead, 'there is one');
    write_text("$sockets/note.sock", 'not ours');
    write_text("$sockets/99999997.sock", 'no socket');
    my $other = IO::Socket::UNIX->new(Local => "$dir/var/other", Listen => 1);
    $other->blocking(0);
    symlink "$dir/var/other", "$sockets/99999996.sock";
    my ($status, $said, $error) = polywsgi('status');
    is($status, 0, 'asked');
    ok(!-e $dead, 'the command removes it');
    is(() = $error =~ /child 9999999[67] has a file that is no socket/g, 2, 'and follows no link');
    ok(!$other->accept, 'to another socket');
    IO::Socket::UNIX->new(Local => $dead, Listen => 1)->close;
    my $mark = () = $server->lines(qr/resuming normal operations/);
    $server->signal('HUP');
    ok(wait_for { ($server->lines(qr/resuming normal operations/)) > $mark }, 'restarted');
    ok(!-e $dead, 'so does a start');
    ok(-e "$sockets/$_", 'and nothing else') for qw(note.sock 99999996.sock 99999997.sock);
    unlink map { "$sockets/$_" } qw(note.sock 99999996.sock 99999997.sock);
    is((polywsgi('wait-ready'))[0], 0, 'ready');
    my ($child) = $server->children;
    kill KILL => $child;
    ok(wait_for { !-e "$sockets/$child.sock" }, 'the parent removes that of a child that died');
};

subtest 'one that lies' => sub {
    is((polywsgi('wait-ready'))[0], 0, 'ready');
    my $fake = "$sockets/99999998.sock";
    my @lies = ('', "\0\xff", '[1]', '{"protocol":1}', '[' x 100000,
        '{"protocol":1,"error":"\u001b[2J\u009b and \ud800"}',
        '{"protocol":1,"status":5,"stacks":[],"ready":"x"}',
        '{"protocol":1,"stacks":{"instances":[{"interpreter":"\u001b]0;x","gil":"held","holder":7,'
            . '"calls":[{"path":"\u0007\r\n","phase":[],"seconds":1e400,"stack":[{"file":"\u001b",'
            . '"line":"x","function":null}],"cut":{}}]}]},"status":{"interpreters":[{"name":"\u001bx",'
            . '"served":{"2xx":"many"},"seconds":3,"instances":[{"state":[]}]}],"children":[{"calls":"no"}]},'
            . '"ready":{"generation":true,"running_generation":[],"applications":[{}]}}');
    for my $lie (@lies) {
        my $listen = IO::Socket::UNIX->new(Local => $fake, Listen => 5) or die "$fake: $!";
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            while (my $conn = $listen->accept) {
                $conn->sysread(my $line, 600);
                $conn->syswrite($lie);
            }
            POSIX::_exit(0);
        }
        for my $command (qw(status stacks wait-ready)) {
            my ($status, $said, $error) = polywsgi($command);
            is($status, 0, "$command works beside it") or diag($said . $error);
            unlike("$said$error", qr/[^\n\x20-\x7e]|Traceback/, 'without control characters');
        }
        kill KILL => $pid;
        waitpid $pid, 0;
        close $listen;
        unlink $fake;
    }
};

# docs/internals, "A place that a graceful restart needs": worker's own.
subtest 'a graceful restart' => sub {
    my @old = $server->children;
    $server->write_conf("$server->{conf}\nMaxRequestWorkers 32\n") if mpm() eq 'worker';
    my @conns = hang('/app/wait');
    stacks_until(qr/in wait_for_file/);
    my $mark = () = $server->lines(qr/resuming normal operations/);
    $server->signal('USR1');
    ok(wait_for { ($server->lines(qr/resuming normal operations/)) > $mark }, 'restarted');
    is((polywsgi('wait-ready'))[0], 0, 'the new children are ready');
    like((polywsgi('stacks'))[1], qr/in wait_for_file/, 'the old one still tells');
    is(release(@conns), 0, 'answered');
    my %old = map { ($_ => 1) } @old;
    ok(wait_for { !grep { $old{$_} } $server->children }, 'the old child ends');
    ok(wait_for { !grep { $old{ s/\..*//r } } socket_names() }, 'its socket is gone');
    cmp_ok(scalar socket_names(), '>', 0, 'those of the new ones are there');
};

$server->stop;
is_deeply([ socket_names() ], [], 'no socket is left');

# ---- what does not load, or not yet ----

my $serves = "def application(environ, start_response):\n"
    . "    start_response('200 OK', [])\n    return []\n";
my $hangs = "import os, time\n\ndef hang_in_import():\n"
    . "    while not os.path.exists('$go'):\n        time.sleep(0.01)\n\n"
    . "hang_in_import()\n$serves";

sub ready_with {
    my ($source) = @_;
    $server->app('late.py', $source);
    $server->write_conf("WSGIScriptAlias /app \@DIR\@/apps/app.py application-group=app\n"
            . "WSGIScriptAlias /late \@DIR\@/apps/late.py application-group=late\n"
            . "WSGIScriptAlias /found/ \@DIR\@/apps/");
    ok($server->start, 'started');
    return;
}

subtest 'nothing to ask' => sub {
    for my $command (qw(status stacks)) {
        my ($status, $said, $error) = polywsgi($command);
        is($status, 2, "$command: exit status 2");
        like($error, qr/^polywsgi: no child of httpd has a socket in \Q$sockets\E\. Mend: start/,
            'it says why');
    }
    my ($status, $said, $error) = polywsgi('wait-ready', '--timeout', '0.5');
    is($status, 2, 'wait-ready: exit status 2');
    like($error, qr/no child of httpd answers\n.*not ready within 0\.5 s/s, 'it says why');
};

subtest 'one that fails' => sub {
    ready_with("raise ValueError('no')\n");
    my ($status, $said, $error) = polywsgi('wait-ready');
    is($status, 1, 'exit status 1');
    like($error, qr/^polywsgi: late \(\S+\) did not load in child \d+; see/m, 'it says which');
    like($said, qr/^1 loaded, 1 failed,/m, 'and how many');
    $server->stop;
};

subtest 'one that loads for ever' => sub {
    unlink $go;
    ready_with($hangs);
    my ($status, $said, $error) = polywsgi('wait-ready', '--timeout', '1');
    is($status, 2, 'exit status 2');
    like($error, qr/^polywsgi: late \(\S+\) is still loading in child \d+$/m, 'it says which');
    $said = stacks_until(qr/in hang_in_import/);
    like($said, qr/^child \d+, interpreter late: loads late \(\S+\)\n(?:  File .*\n)*  File "\S+late\.py", line 7, in <module>\n  File "\S+late\.py", line 5, in hang_in_import$/m,
        'stacks shows the import');
    write_text($go, '');
    is((polywsgi('wait-ready'))[0], 0, 'then it is loaded');
    $server->stop;
};

subtest 'scripts that requests find are not waited for' => sub {
    plan skip_all => 'needs threads' if !threaded();
    announce(qr/PW0201/);
    ready_with($serves);
    $server->app('bad.py', "raise ValueError('no')\n");
    $server->app('slow.py', $hangs);
    is($server->get('/found/bad.py')->{status}, 500, 'one fails');
    my ($conn) = hang('/found/slow.py');
    stacks_until(qr/in hang_in_import/);
    my ($status, $said, $error) = polywsgi('wait-ready');
    is($status, 0, 'it is ready') or diag($error);
    like($said, qr/^2 loaded, 0 failed, 0 not asked for yet,/, 'two are loaded');
    is(release($conn), 0, 'the one that loads is served');
    $server->stop;
};

# ---- asked without a pause ----

subtest 'asked without a pause, while instances come and go' => sub {
    $server->app('deep.py', <<'END_APP');
import threading, time
class Node:
    def __init__(self):
        self.me = self
    def __del__(self):
        time.sleep(0)
def dive(n):
    Node()
    if n:
        return dive(n - 1)
    time.sleep(0.001)
    return sum(range(20000))
def application(environ, start_response):
    t = threading.Thread(target=dive, args=(20,))
    t.start()
    dive(int(environ["QUERY_STRING"]))
    t.join()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (b"x" for _ in range(3))
END_APP
    $server->write_conf(<<'END_CONF');
WSGIMaxRequests 15
WSGIQueueLimit 100
WSGIScriptAlias /a @DIR@/apps/deep.py application-group=a
WSGIScriptAlias /b @DIR@/apps/deep.py application-group=b
WSGIScriptAlias /main @DIR@/apps/deep.py application-group=%{GLOBAL}
END_CONF
    ok($server->start, 'started');
    is((polywsgi('wait-ready'))[0], 0, 'ready');
    my @load = map {
        my $path = $_;
        my $pid  = fork // die "fork: $!";
        if (!$pid) {
            my $bad = grep { $server->get("$path?$_")->{status} != 200 } map { $_ % 130 } 1 .. 150;
            POSIX::_exit($bad > 0);
        }
        $pid;
    } qw(/a /b /main);
    my ($answers, $deep, $bad) = (0, 0, 0);
    while (@load) {
        for my $name (socket_names()) {
            my $all = eval { decode_json(raw("1 stacks\n", $name)) };
            $answers++ if $all;
            $deep += grep { @{ $_->{stack} || [] } > 90 }
                map { @{ $_->{calls} } } @{ $all->{stacks}{instances} || [] };
        }
        if (waitpid($load[0], POSIX::WNOHANG())) {
            $bad += $? != 0;
            shift @load;
        }
    }
    is($bad, 0, 'every request was served');
    cmp_ok($answers, '>', 20, 'many answers');
    cmp_ok($deep, '>', 0, 'with deep stacks');
    is(scalar $server->lines(qr/AH0005[12]|Fatal Python/), 0, 'nothing crashed');
    cmp_ok($server->stop // 99, '<', 8, 'it ends in time');
    my ($counters) = grep { /PW0190/ } reverse $server->lines(qr/PW0190/);
    my %n = $counters =~ /(\w+)=(\d+)/g;
    is($n{returned}, $n{requests}, 'leases are given back');
    is($n{tstates_freed}, $n{tstates_created}, 'thread states are freed');
    is($n{instances_parked}, 0, 'none is parked') if python_at_least(14);
};

# ---- where there can be no sockets ----

cases(sub {
    my ($case) = @_;
    my $run = "$dir/$case->{dir}";
    mkdir $run;
    $case->{make}->("$run/polywsgi") if $case->{make};
    $server->write_conf("DefaultRuntimeDir $run\n"
            . 'WSGIScriptAlias /app @DIR@/apps/app.py application-group=app');
    ok($server->start, 'started');
    ok(wait_for { $server->lines($case->{code}) }, 'a record says why');
    is($server->get('/app/x')->{status}, 200, 'requests are served');
    my ($status, $said, $error) = polywsgi('status');
    is($status, 2, 'there is nothing to ask');
    ok(-l "$run/polywsgi", 'what was there is there') if $case->{link};
    $server->stop;
}, { name => 'a symlink', dir => 'run1', link => 1, code => qr/PW0170 .*: it is no directory; .*Mend/,
        make => sub { symlink '/tmp', $_[0] } },
    { name => 'a file', dir => 'run2', code => qr/PW0170/, make => sub { write_text($_[0], '') } },
    ($root ? { name => q(somebody else's), dir => 'run3', code => qr/PW0170 .*: it belongs to user 1;/,
        make => sub { mkdir $_[0]; chown 1, 1, $_[0] } } : ()),
    { name => 'a long name', dir => 'x' x 100, code => qr/PW0171 .* Mend: a shorter/ });

finish();
