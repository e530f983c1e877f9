# SPDX-License-Identifier: Apache-2.0
# Ten applications in one child. One of them hangs in every request, then
# computes for ever in every request, with half of 200 clients on it: the others
# answer every one of theirs. (t/bench/crowds.py measures how fast.)
use PWTest;
use PWTest::Server;
use POSIX ();

plan skip_all => 'idle connections hold the threads of other MPMs' if mpm() ne 'event';
plan skip_all => 'a loop holds the one GIL of all' if !python_at_least(13);
alarm 600;

my @good = map { "app$_" } 1 .. 9;
my $server = PWTest::Server->new(name => 'bulkhead', conf => join '', map {
    "WSGIScriptAlias /$_ \@DIR\@/apps/app.py application-group=$_\n" } @good, 'bad');
$server->{sizing} = <<'END_SIZING';
StartServers 1
ServerLimit 1
ThreadLimit 40
ThreadsPerChild 40
MinSpareThreads 1
MaxSpareThreads 40
MaxRequestWorkers 40
AsyncRequestWorkerFactor 8
END_SIZING
announce(qr/PW0120 bad/, qr/PW0012/, qr/PW019[12]/, qr/AH00484/);
$server->app('app.py', <<'END_APP');
import os, time
VAR = os.path.join(os.path.dirname(os.path.dirname(__file__)), "var")
HANG, LOOP = os.path.join(VAR, "hang"), os.path.join(VAR, "loop")

def application(environ, start_response):
    if environ["SCRIPT_NAME"] == "/bad":
        while os.path.exists(HANG):
            time.sleep(0.05)
        while os.path.exists(LOOP):
            sum(range(10000))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]
END_APP
ok($server->start, 'started');
ok(wait_for { $server->lines(qr/PW0200.*loaded/) == 10 }, 'ten applications');

sub client {
    my ($n) = @_;
    pipe my $from, my $to or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        alarm 300;
        my $bad = 0;
        for my $round (1 .. 5) {
            my $a = $server->get('/' . $good[ ($n + $round) % @good ]);
            $bad++ if $a->{status} != 200 || $a->{body} ne 'well';
        }
        syswrite $to, "$bad\n";
        POSIX::_exit(0);
    }
    close $to;
    return { pid => $pid, from => $from };
}

for my $way (qw(hang loop)) {
    subtest "one application is in a $way" => sub {
        write_text("$server->{dir}/var/$way", '');
        my @crowd = map { $server->connect } 1 .. 100;
        $_->send(PWTest::HTTP::head(path => '/bad')) for @crowd;
        my @clients = map { client($_) } 1 .. 100;
        my $bad = 0;
        for my $c (@clients) {
            my $said = readline($c->{from}) // 1;
            waitpid $c->{pid}, 0;
            $bad += $said;
        }
        is($bad, 0, 'the others answer all of theirs');
        unlink "$server->{dir}/var/$way";
        my %got;
        $got{ $_->response->{status} }++ for @crowd;
        cmp_ok($got{200}, '<=', 20, "of the bad one's requests $got{200} were let in");
        is($got{200} + ($got{503} // 0), 100, 'the rest was refused, and all answered');
        is($server->get('/bad')->{status}, 200, 'and it serves again');
    };
}
ok(!$server->lines(qr/PW0120 app/), 'no other application refused one');
$server->stop;

finish();
