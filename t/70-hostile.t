# SPDX-License-Identifier: Apache-2.0
# Applications and clients that do what they should not: the child lives, and
# others are served.
use PWTest;
use PWTest::Server;

announce(qr/PW050[12]/, qr/PW040[1-9].*\/(?:h|other|si)\b/, qr/PW0403/, qr/PW0405/,
    qr/include:error.*\/h\/fail/, qr/AH00161/);
# One process, so that a request meets what the one before has left.
my $sizing = threaded() ? '' : <<'END';
StartServers 1
MinSpareServers 1
MaxSpareServers 1
ServerLimit 1
MaxRequestWorkers 1
END
my $s = PWTest::Server->new(name => 'hostile', sizing => $sizing, conf => <<'END');
Timeout 5
WSGIShutdownTimeout 3
WSGIScriptAlias /h @APPS@/hostile.py
WSGIScriptAlias /si @APPS@/hostile.py application-group=including
WSGIScriptAlias /other @APPS@/hostile.py application-group=other
<Location /si>
    Options +Includes
    SetOutputFilter INCLUDES
</Location>
<Location /other>
    ErrorDocument 500 /h/error_page
    ErrorDocument 400 /h/error_page
</Location>
<Location /other/fail_hard>
    ErrorDocument 500 /h/fail
</Location>
END

ok($s->start, 'started');
is($s->get('/h/included')->{status}, 200, 'the application answers');
my @children = sort $s->children;

# path, or a whole request; body: of the answer; status: 200.
my @table = (
    { path => '/h/import_children', body => '[-15, -15]' },
    { path => '/h/children', body => '[-15, -15]' },
    { path => '/h/alarm', body => 'alive' },
    { path => '/h/keep', body => 'kept' },
    { path => '/h/use_kept', body => 'RuntimeError RuntimeError RuntimeError ok' },
    { path => '/h/thread_after', like => qr/begun/ },
    { path => '/h/joined', body => 'joined' },
    { path => '/h/dying_status', body => 'begun' },
    { path => '/h/joined', body => 'joined' },
    { path => '/h/close_raises', body => 'whole, late' },
    { path => '/h/write_before_start', body => 'refused' },
    { path => '/h/subclasses', body => 'subclasses' },
    { path => '/h/huge_headers', body => 'huge' },
    { path => '/h/tiny_list', body => 'x' x 1000000 },
    { path => '/h/tiny_iterator', body => 'x' x 1000000 },
    { path => '/h/empty_chunks', body => 'end' },
    { path => '/h/recursion', status => 500 },
    { path => '/h/exit_in_thread', body => 'alive' },
    { path => '/h/log_loop', body => 'out of it' },
    { path => '/h/no_streams', status => 500 },
    { path => '/h/streams_again', body => 'again' },
    { path => '/other/fail', body => 'error 500 GET 0' },
    { path => '/other/fail_hard', status => 500, like => qr/additionally/i },
    { path => '/si/including', like => qr/a\[included\]b.*\[included\]c/s },
    { path => '/h/slow_head', method => 'HEAD', body => '' },
    { path => '/h/nothing_allowed?204', status => 204, body => '' },
    { path => '/h/nothing_allowed?304', status => 304, body => '' },
    { path => '/h/tiny_iterator?3', proto => 'HTTP/1.0', body => 'xxx',
      headers => [Connection => 'keep-alive'] },
    { path => '/h/body_by_other', method => 'POST', body => '300000',
      headers => ['Content-Length', 300000], send => 'x' x 300000 },
    { path => '/other/fail', method => 'POST',
      headers => ['Content-Length', 5], send => 'xxxxx', like => qr/error 500 GET \d/ },
);

cases(sub {
    my ($case) = @_;
    my $conn = $s->connect;
    my $method = $case->{method} || 'GET';
    $conn->send(PWTest::HTTP::head(%$case));
    $conn->send($case->{send}) if $case->{send};
    my $a = $conn->response($method);
    is($a->{status}, $case->{status} || 200, 'status');
    ok($a->{body} eq $case->{body}, 'body')
        or diag('body: ' . substr $a->{body}, 0, 300)
        if defined $case->{body};
    like(substr($a->{body}, 0, 2000), $case->{like}, 'body') if $case->{like};
    ok($a->{complete}, 'the answer is whole');
    $conn->close;
    is("@{[sort $s->children]}", "@children", 'the child lives');
}, map { { name => ($_->{method} || 'GET') . " $_->{path}", %$_ } } @table);

subtest 'half a body, then the end' => sub {
    for my $path (qw(/h/half /h/read_all /other/read_all)) {
        my $conn = $s->connect;
        $conn->send(PWTest::HTTP::head(path => $path, method => 'POST',
            headers => ['Content-Length', 100]) . 'half');
        shutdown $conn->{sock}, 1;
        my $a = $conn->response;
        ok($a->{status} == 0 || $a->{status} >= 200, 'an answer or none');
        ok($conn->closed, 'and no second request on this connection');
        $conn->close;
    }
};

subtest 'half a body, then silence' => sub {
    my $conn = $s->connect;
    $conn->send(PWTest::HTTP::head(path => '/other/read_all', method => 'POST',
        headers => ['Content-Length', 100]) . 'half');
    my $a = $conn->response;
    is($a->{status}, 408, 'the time limit');
    ok($conn->closed, 'closed');
    $conn->close;
};

subtest 'pipelining' => sub {
    my $conn = $s->connect;
    $conn->send(join '', map { PWTest::HTTP::head(path => "/h/tiny_iterator?$_",
        method => 'POST', headers => ['Content-Length', 4]) . 'body' } 1 .. 20);
    is($conn->response->{body}, 'x' x $_, "answer $_") for 1 .. 20;
    $conn->close;
};

subtest 'clients that go away' => sub {
    for (1 .. 10) {
        my $conn = $s->connect;
        $conn->send(PWTest::HTTP::head(path => '/h/endless'));
        $conn->fill;
        setsockopt $conn->{sock}, 1, 13, pack 'ii', 1, 0;
        $conn->close;
    }
    ok(wait_for { $s->get('/h/ended')->{body} eq '1' }, 'generators are closed');
};

is("@{[sort $s->children]}", "@children", 'the child lives');
my $took = $s->stop(limit => 25);
cmp_ok($took, '<', 5, 'it ends');
is(scalar $s->lines(qr/AH0005[12]|Fatal Python|Segmentation/), 0, 'no crash');
# Scripts that do not load; hang: the load never ends.
my %scripts = (
    good => '',
    recursion => "def f(): f()\nf()\n",
    leave => "import sys\nsys.exit(0)\n",
    base => "class E(BaseException):\n    pass\nraise E()\n",
    wordless => "class E(Exception):\n    def __str__(self): raise self\nraise E()\n",
    chain => <<'END',
error = None
for n in range(3000):
    try:
        raise ValueError(n) from error
    except ValueError as e:
        error = e
raise error
END
    touch => "import os\nos.utime(__file__)\nraise ValueError\n",
    thread => <<'END',
import threading, time
def run():
    while True:
        try:
            time.sleep(0.05)
        except BaseException:
            pass
threading.Thread(target=run, daemon=True).start()
raise ValueError
END
    traceback => "import traceback\ndel traceback.format_exception\nraise ValueError\n",
    modules => "import sys\nsys.modules.clear()\nraise ValueError\n",
    builtins => "import builtins\nbuiltins.__dict__.clear()\nraise ValueError\n",
    partial => "import sys\nkeep = sys.stdout\nsys.stdout = None\nkeep.write('part')\n1/0\n",
    hang => "import time\nwhile True:\n    time.sleep(1)\n",
    atexit_raises => "import atexit\natexit.register(int, 'x')\nraise ValueError\n",
);
my $GOOD = <<'END';
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
END

# Asks until the script was tried so often.
sub tries {
    my ($l, $path, $round) = @_;
    my $status = $path =~ /good/ ? 200 : $path =~ /hang/ ? 503 : 500;
    return if $status == 503 && $round > 1;
    # On a busy machine a load may take longer than WSGIStartupTimeout here: 503.
    my $got;
    wait_for { ($got = $l->get($path)->{status}) == $status };
    is($got, $status, $path);
    ok(wait_for {
        $l->get($path);
        $l->lines(qr/PW0201 .*\Q$path\E\b.*cannot load/) >= $round;
    }, "try $round") if $status == 500;
}

subtest 'scripts that do not load' => sub {
    announce(qr/PW020\d/, qr/PW030\d/, qr/PW0105/, qr/PW0191/, qr/PW0104/, qr/PW0153 builtins/,
        qr/AH00045/);
    my @names = sort keys %scripts;
    my $alone = qr/hang|builtins|modules/;    # would break their neighbours
    my @conf = ('WSGIShutdownTimeout 3', 'WSGIStartupTimeout 4');
    for my $n (@names) {
        for my $g ('own', $n =~ $alone ? () : qw(main pair)) {
            my $group = $g eq 'main' ? '%{GLOBAL}' : $g eq 'own' ? $n : 'pair';
            push @conf, "WSGIScriptAlias /$g/$n \@DIR\@/apps/$n.py application-group=$group";
        }
    }
    my $l = PWTest::Server->new(name => 'loads', sizing => $sizing, conf => join "\n", @conf);
    $l->app("$_.py", "$scripts{$_}\n$GOOD") for @names;
    ok($l->start, 'started');
    # Of all the loads at the start it may be the last one: 503 until then.
    ok(wait_for { $l->get('/own/good')->{status} == 200 }, 'the good one answers');
    my @before = sort $l->children;
    for my $group (qw(own main pair)) {
        for my $round (1 .. 2) {
            for my $name (@names) {
                next if $group ne 'own' && $name =~ $alone;
                tries($l, "/$group/$name", $round);
            }
        }
    }
    is("@{[sort $l->children]}", "@before", 'the child lives');
    my $took = $l->stop(limit => 25);
    cmp_ok($took, '<', 6, 'it ends');
    is(scalar $l->lines(qr/AH0005[12]|Fatal Python|Segmentation/), 0, 'no crash');
};
finish();
