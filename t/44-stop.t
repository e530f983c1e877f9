# SPDX-License-Identifier: Apache-2.0
# The end of a child: atexit handlers run, threads stop, nothing hangs beyond
# WSGIShutdownTimeout, whatever an application has left running.
use PWTest;
use PWTest::Server;

my $GOOD = <<'END';
import atexit, os
def said(word):
    with open(os.path.join("@VAR@", word), "a") as f:
        f.write("%d\n" % os.getpid())
atexit.register(said, "@NAME@.atexit")
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
END

# What an application leaves behind. slow: the end may take the whole bound.
my @table = (
    { name => 'nothing', code => '' },
    { name => 'a daemon thread', code => <<'END' },
import threading, time
def run():
    while True:
        time.sleep(0.05)
threading.Thread(target=run, daemon=True).start()
END
    { name => 'a busy daemon thread', code => <<'END' },
import threading
def run():
    n = 0
    while True:
        n += 1
threading.Thread(target=run, daemon=True).start()
END
    { name => 'a thread that ends when told', code => <<'END' },
import threading
stopped = threading.Event()
threading._register_atexit(stopped.set)
threading.Thread(target=stopped.wait).start()
END
    { name => 'a non-daemon thread that never ends', slow => 1, code => <<'END' },
import threading, time
def run():
    while True:
        try:
            time.sleep(0.05)
        except BaseException:
            pass
threading.Thread(target=run).start()
END
    { name => 'a thread in a C call that never returns', slow => 1,
      code => <<'END' },
import threading, os
r, w = os.pipe()
threading.Thread(target=os.read, args=(r, 1)).start()
END
    { name => 'an idle ThreadPoolExecutor', code => <<'END' },
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(4)
list(pool.map(abs, range(8)))
END
    { name => 'a busy ThreadPoolExecutor', slow => 1, code => <<'END' },
from concurrent.futures import ThreadPoolExecutor
import time
pool = ThreadPoolExecutor(2)
for _ in range(4):
    pool.submit(time.sleep, 60)
END
    { name => 'the thread of docs/threads.md', joined => 1,
      code => "refresh = None\n" . example() . <<'END' },
@atexit.register
def joined():
    said("joined" if not worker.is_alive() else "runs")
atexit.register(stop)
END
    { name => 'an atexit handler that raises', log => qr/on purpose/,
      code => <<'END' },
import atexit
@atexit.register
def fail():
    raise ValueError("on purpose")
END
    { name => 'an atexit handler that hangs', slow => 1, code => <<'END' },
import atexit, time
atexit.register(time.sleep, 60)
END
    { name => 'a request that never returns', slow => 1, hang => 1,
      code => <<'END' },
import time
def hang(environ, start_response):
    while True:
        time.sleep(0.1)
END
    { name => 'a request in a loop of C', slow => 1, hang => 1, code => <<'END' },
import time
def hang(environ, start_response):
    time.sleep(3600)
END
);

# The example of the documentation.
sub example {
    my ($code) = read_text("$ENV{PW_T_SRC}/docs/threads.md")
        =~ /^```python\n(.*?)^```$/ms or die 'no example';
    return $code;
}

my $isolation = PWTest::info()->{isolation};
my $round = 0;
announce(qr/PW019\d/, qr/AH00045|AH00046|AH00047/, qr/PW0104/, qr/PW050\d/,
    qr/AH00491/);

for my $kind ($isolation, 'main') {
    cases(sub { try($_[0], $kind) }, map { { %$_, name => "$kind: $_->{name}" } }
        @table);
}

# Once in each child; of prefork's there may be two.
sub ran {
    my ($file, $name) = @_;
    my $times = () = read_text_if($file) =~ /\n/g;
    return threaded() ? is($times, 1, $name) : cmp_ok($times, '>=', 1, $name);
}

sub try {
    my ($case, $kind) = @_;
    my $name = 'stop' . ++$round;
    my $group = $kind eq 'main' ? '%{GLOBAL}' : 'bad';
    my $s = PWTest::Server->new(name => $name, conf => <<"END");
WSGIShutdownTimeout 3
WSGIScriptAlias /bad \@DIR\@/apps/bad.py application-group=$group
WSGIScriptAlias /hang \@DIR\@/apps/bad.py application-group=$group callable-object=hang
WSGIScriptAlias /good1 \@DIR\@/apps/good1.py
WSGIScriptAlias /good2 \@DIR\@/apps/good2.py
END
    my $var = "$s->{dir}/var";
    for my $app (qw(good1 good2 bad)) {
        my $source = $GOOD =~ s/\@VAR\@/$var/r =~ s/\@NAME\@/$app/r;
        $source .= "hang = application\n" . $case->{code} if $app eq 'bad';
        $s->app("$app.py", $source);
    }
    ok($s->start, 'started') or return;
    is($s->get("/$_")->{status}, 200, "/$_ answers") for qw(bad good1 good2);
    my $conn;
    if ($case->{hang}) {
        $conn = $s->connect;
        $conn->send(PWTest::HTTP::head(path => '/hang'));
        # It has begun when the access of others goes on and no answer came.
        is($s->get('/good1')->{status}, 200, 'others answer beside it');
        ok(!$conn->ready(0.3), 'it hangs');
    }
    my $took = $s->stop(limit => 25, busy => $case->{hang});
    ok(defined $took, 'httpd ended by itself') or return;
    cmp_ok($took, '<', $case->{slow} ? 6.5 : 3.5, sprintf 'after %.1f s', $took);
    is($s->{status}, 0, 'with status 0');
    for my $app (qw(good1 good2)) {
        ran("$var/$app.atexit", "atexit of $app ran once");
    }
    if (!$case->{hang}) {
        ran("$var/bad.atexit", 'and of the one that left something')
            if $case->{name} !~ /handler that hangs/;
    }
    ran("$var/joined", 'its thread ended when told') if $case->{joined};
    ok(scalar $s->lines($case->{log}), 'its failure is logged') if $case->{log};
    is(scalar $s->lines(qr/AH0005[12]|Fatal Python|Segmentation/), 0,
        'no crash');
    is(scalar $s->lines(qr/AH00045|AH00046|AH00047/), 0,
        'httpd did not have to kill it') if !$ENV{PW_T_SANITIZER};
    $conn->close if $conn;
}

sub read_text_if { return -f $_[0] ? read_text($_[0]) : '' }

subtest 'a graceful stop lets requests end, then stops' => sub {
    my $s = PWTest::Server->new(name => 'gracefulstop', conf => <<'END');
WSGIShutdownTimeout 3
WSGIScriptAlias /good1 @DIR@/apps/good1.py
WSGIScriptAlias /wait @DIR@/apps/wait.py
END
    my $var = "$s->{dir}/var";
    $s->app('good1.py', $GOOD =~ s/\@VAR\@/$var/r =~ s/\@NAME\@/good1/r);
    $s->app('wait.py', <<"END");
import os, time
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    while not os.path.exists("$var/go"):
        time.sleep(0.02)
    yield b"ended"
END
    ok($s->start, 'started');
    $s->get('/good1');
    my $conn = $s->connect;
    $conn->send(PWTest::HTTP::head(path => '/wait'));
    is($conn->read_head->{status}, 200, 'a request runs');
    is($conn->read_chunk, 'begun', 'and has begun');
    $s->signal('WINCH');
    ok(wait_for { !$s->connects }, 'it listens no more');
    write_text("$var/go", '');
    is($conn->read_chunk, 'ended', 'the request ends in peace');
    ok(wait_for { !$s->alive }, 'then httpd ends');
    $s->judge;
    ran("$var/good1.atexit", 'atexit ran');
};

finish();
