# SPDX-License-Identifier: Apache-2.0
# The log: one record for each event, in the virtual host's ErrorLog, with
# code, application and request id; tracebacks line by line.
use PWTest;
use PWTest::Server;

my $s = PWTest::Server->new(name => 'log', conf => <<'END');
ErrorLogFormat "[%t] [%-m:%l] [pid %P:tid %T] [id %L] %M"
LogLevel info polywsgi:debug
WSGIScriptAlias /main @DIR@/apps/talks.py application-group=talker
<VirtualHost *:@PORT@>
    ServerName one.test
    ErrorLog @DIR@/one.log
    LogFormat "%L %U" id
    CustomLog @DIR@/access.log id
    WSGIScriptAlias /talks @DIR@/apps/talks.py application-group=talker
</VirtualHost>
<VirtualHost *:@PORT@>
    ServerName two.test
    ErrorLog @DIR@/two.log
    WSGIScriptAlias /talks @DIR@/apps/talks.py application-group=second
</VirtualHost>
END
$s->app('talks.py', <<'END');
import logging, sys, threading, warnings
logging.basicConfig(level=logging.INFO)
print("printed at import")

def deep(n):
    if n == 0:
        raise KeyError("deep\nnewline \x1b[31m \u20ac")
    deep(n - 1)

def cause():
    try:
        deep(3)
    except KeyError as e:
        raise RuntimeError("wrapped") from e

def application(environ, start_response):
    what = environ["PATH_INFO"][1:]
    word = environ["QUERY_STRING"]
    if what == "print":
        print("printed", word)
        print("no newline", word, end="")
    elif what == "stderr":
        print("to stderr", word, file=sys.stderr)
    elif what == "logging":
        logging.getLogger("shop").error("logged %s", word)
    elif what == "errors":
        environ["wsgi.errors"].write("errors %s\npartial %s" % (word, word))
    elif what == "long":
        print(word * 6000)
    elif what == "forged":
        print("forged %s\r[Mon] [wsgi:error] \x1b[31m \x00 PW9999" % word)
    elif what == "unicode":
        print("unicode \u20ac \udcff", word)
    elif what == "thread":
        t = threading.Thread(target=print, args=("from a thread", word))
        t.start()
        t.join()
    elif what == "fail":
        cause()
    elif what == "unraisable":
        class Bad:
            def __del__(self):
                raise ValueError("unraisable " + word)
        Bad()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
END
announce(qr/PW050[12]/, qr/PW0401/);
ok($s->start, 'started');
my $one = "$s->{dir}/one.log";
my $serial = 0;

sub lines_of {
    my ($log, $pattern) = @_;
    return grep { $_ =~ $pattern } log_since(0, $log);
}

sub ask {
    my ($what, $host) = @_;
    my $word = 'w' . ++$serial . 'x';
    $s->get("/talks/$what?$word", host => $host // 'one.test');
    wait_for { lines_of($host && $host eq 'two.test' ? "$s->{dir}/two.log"
            : $one, qr/$word|Traceback/) } 5;
    return $word;
}

my @table = (
    { name => 'print', what => 'print', like => [qr/PW0502 talker.*printed W$/,
        qr/PW0502 talker.*no newline W$/] },
    { name => 'stderr', what => 'stderr', like => [qr/PW0501 talker.*to stderr W$/] },
    { name => 'logging', what => 'logging', like => [qr/PW0501 talker.*ERROR:shop:logged W$/] },
    { name => 'wsgi.errors', what => 'errors', like =>
        [qr/PW0501 talker.*errors W$/, qr/PW0501 talker.*partial W$/] },
    { name => 'letters', what => 'unicode',
      like => [qr/PW0502 talker.*unicode .*W$/] },
    { name => 'what no control character may forge', what => 'forged',
      like => [qr/PW0502 talker.*forged W\\r\[Mon\].*PW9999$/] },
    { name => 'an exception in __del__', what => 'unraisable',
      like => [qr/PW0501 talker.*ValueError: unraisable W$/] },
);
cases(sub {
    my ($case) = @_;
    my $word = ask($case->{what});
    for my $like (@{ $case->{like} }) {
        my $exact = $like =~ s/W(?=\\|\$|\W)/$word/r;
        my @found = lines_of($one, qr/$exact/);
        is(scalar @found, 1, "one record: $exact")
            or diag(join "\n", lines_of($one, qr/$word/));
        like($found[0] // '', qr/\[id [\w+\/@-]{8,}\]/, 'with the request id');
    }
    is(scalar lines_of($s->{log}, qr/$word/), 0, 'not in the main log');
    is(scalar lines_of("$s->{dir}/two.log", qr/$word/), 0, 'nor in another');
}, @table);

subtest 'the id is the request\'s' => sub {
    my $word = ask('stderr');
    my ($id) = (lines_of($one, qr/to stderr $word/))[0] =~ /\[id (\S+)\]/;
    ok(wait_for { grep { $_ eq "$id /talks/stderr" }
        log_since(0, "$s->{dir}/access.log") }, 'and the access log has it');
};

subtest 'a long line' => sub {
    my $word = ask('long');
    my @found = lines_of($one, qr/PW0502 .*(?:$word){100}/);
    cmp_ok(scalar @found, '>', 1, 'becomes several records');
    my $n = 0;
    $n += () = /$word/g for @found;
    cmp_ok($n, '>=', 6000 - @found, 'and all of it is there');
};

subtest 'a thread of the application' => sub {
    $s->get('/talks/thread?threadword', host => 'one.test');
    ok(wait_for { lines_of($one, qr/PW0502 talker.*from a thread threadword/)
        || $s->lines(qr/PW0502 talker.*from a thread threadword/) },
        'is logged with the name of its interpreter');
};

subtest 'a traceback' => sub {
    my $from = -s $one;
    is($s->get('/talks/fail?x', host => 'one.test')->{status}, 500, 'answered 500');
    my @lines = grep { /PW0401/ } log_since($from, $one);
    my ($head, @rest) = @lines;
    like($head, qr{PW0401 talker.*GET /talks/fail.*500.*RuntimeError: wrapped},
        'the first record says what, where, and what happens');
    unlike($head, qr/\?x/, 'without the query');
    like($rest[0], qr/PW0401 talker[^|]* \| Traceback/, 'then line by line');
    ok((grep { /\| .*raise KeyError/ } @rest), 'with the source');
    ok((grep { /direct cause/ } @rest), 'and the cause');
    ok((grep { /RuntimeError: wrapped/ } @rest), 'to its end');
    is(scalar(grep { !/PW0401 talker/ } @lines), 0, 'each with code and name');
    unlike("@rest", qr/<polywsgi |wsgiref/, 'no frames of ours');
    my %id = map { /\[id (\S+)\]/ ? ($1 => 1) : () } @lines;
    is(scalar keys %id, 1, 'all with one request id');
    is(scalar(grep { /raw newline/ } @lines), 0, 'no line is split');
};

subtest 'two virtual hosts' => sub {
    my $word = ask('stderr', 'two.test');
    is(scalar lines_of("$s->{dir}/two.log", qr/PW0501 second.*$word/), 1,
        'each has its own log, with its own interpreter');
    is(scalar lines_of($one, qr/$word/), 0, 'and only that');
};

subtest 'at import' => sub {
    for my $log ($one, "$s->{dir}/two.log", $s->{log}) {
        my @found = lines_of($log, qr/printed at import/);
        like($found[0], qr/PW0502 (?:talker|second)/, 'with the interpreter')
            if @found;
    }
    my @all = map { lines_of($_, qr/printed at import/) }
        $one, "$s->{dir}/two.log", $s->{log};
    is(scalar @all, 2, 'each interpreter said it once') if threaded();
    my @loaded = map { lines_of($_, qr/PW0200/) }
        $one, "$s->{dir}/two.log", $s->{log};
    is(scalar @loaded, 2, 'and a record for each load') if threaded();
};

subtest 'every record of ours has a code' => sub {
    for my $log ($one, "$s->{dir}/two.log", $s->{log}) {
        my @bare = lines_of($log,
            qr/^\[[^\]]+\] \[polywsgi:(?!debug|trace)\w+\] (?!.*\bPW\d{4} \S)/);
        is(scalar @bare, 0, $log) or diag(join "\n", @bare);
    }
};
$s->stop;

finish();
