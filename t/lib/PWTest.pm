# SPDX-License-Identifier: Apache-2.0
package PWTest;

# What every test file uses: Test::More, requests, waiting for conditions, and
# the watch over the error logs.
#
#   use PWTest;
#   announce(qr/PW0401/);              # a record this file provokes
#   is(get('/info')->{status}, 200, 'served');
#   finish();                          # judges the logs, ends the plan
#
# THE WATCH. Every log record of level warn or worse, and every line that is no
# record at all, must match a pattern that the file announced. The shared
# server's log is judged from where the file before stopped, so nothing falls
# between two files; a private server's when it stops.
use strict;
use warnings FATAL => 'all';

use parent 'Exporter';
use Cwd ();
use JSON::PP   ();
use Test::More ();
use Time::HiRes qw(time);
use PWTest::HTTP;

our @EXPORT = (
    qw(announce finish wait_for request get get_json cases log_since log_mark
        log_count python_at_least mpm threaded read_text write_text
        process_rss info imports refusing import_refusing),
);

my $dir      = $ENV{PW_T_DIR} || '.';
my $main_log = "$dir/logs/error_log";
my @announced;
my $started;    # where in the log this file began

sub import {
    my ($class) = @_;
    strict->import;
    warnings->import(FATAL => 'all');
    Test::More->export_to_level(1);
    $class->export_to_level(1, $class, grep { !/^\$/ } @EXPORT);
    my $limit = $ENV{PW_T_TIMEOUT} || ($ENV{PW_T_SANITIZER} ? 600 : 240);
    $SIG{ALRM} = sub {
        stacks();
        die "the test file took longer than $limit s\n";
    };
    alarm $limit;
    $SIG{PIPE} = 'IGNORE';
    $started = position_of_last_file();
    return;
}

# Not at compile time: lint runs perl -c.
INIT { die "run the tests by t/run\n" if !$ENV{PW_T_DIR} }

sub mpm      { return $ENV{PW_T_MPM} }
sub threaded { return $ENV{PW_T_MPM} ne 'prefork' }

# Modules of the standard library of which, on any version that has interpreters
# with a GIL of their own, one refuses them: a tuple in Python.
sub refusing {
    return '("readline", "_curses", "_tkinter", "_dbm", "_gdbm", "faulthandler")';
}

# Python that imports them and fails by the refusal.
sub import_refusing {
    my $names = refusing();
    return <<"END_APP";
for name in $names:
    try:
        __import__(name)
    except ImportError as e:
        if "subinterpreter" in str(e):
            raise
END_APP
}

sub read_text {
    my ($path) = @_;
    open my $fh, '<', $path or die "$path: $!";
    local $/ = undef;
    return scalar(<$fh>) // '';
}

# Whole or not at all: a server may read it at the same time.
sub write_text {
    my ($path, $text) = @_;
    open my $fh, '>', "$path.new" or die "$path: $!";
    print {$fh} $text;
    close $fh or die "$path: $!";
    chmod 0644, "$path.new";
    rename "$path.new", $path or die "$path: $!";
    return;
}

# Polls until the code returns true, and returns that; undef after `limit`
# seconds (20, more under a sanitizer).
sub wait_for(&;$) {
    my ($code, $limit) = @_;
    $limit ||= 20;
    $limit *= 4 if $ENV{PW_T_SANITIZER};
    my $end = time + $limit;
    while (1) {
        my $value = $code->();
        return $value if $value;
        return if time > $end;
        select undef, undef, undef, 0.02;
    }
}

# A request to the shared server; see PWTest::HTTP.
sub request {
    return PWTest::HTTP::request(port => $ENV{PW_T_PORT}, @_);
}

sub get {
    my ($path, @more) = @_;
    return request(path => $path, @more);
}

sub get_json {
    my ($path, @more) = @_;
    my $answer = get($path, @more);
    return decode($answer, $path);
}

sub decode {
    my ($answer, $path) = @_;
    my $value = eval { JSON::PP::decode_json($answer->{body}) };
    return $value if $value;
    Test::More::diag("$path: status $answer->{status}, no JSON: "
            . substr $answer->{body}, 0, 400);
    return {};
}

# Can the Python of this build import all of these?
sub imports {
    my (@modules) = @_;
    return system("$ENV{PW_T_PYTHON} -c 'import @{[join ',', @modules]}' >/dev/null 2>&1") == 0;
}

# What the info application says of itself and its interpreter.
sub info {
    my (@more) = @_;
    return get_json('/info', @more);
}

sub python_at_least {
    my ($minor) = @_;
    my $have = info()->{python} || '3.0';
    return ($have =~ /^3\.(\d+)/)[0] >= $minor;
}

# A table of cases and one loop: each case is a hash with `name`, whatever the
# code reads, and runs as a subtest of its own.
sub cases {
    my ($code, @table) = @_;
    for my $case (@table) {
        Test::More::subtest($case->{name} => sub {
            $code->($case);
            Test::More::done_testing();
        });
    }
    return;
}

# Where every thread of every httpd of this run stands: what is needed when one
# hangs. In the file stacks, where gdb is installed.
sub stacks {
    my $mark = "PW_T_MARK=$ENV{PW_T_MARK}";
    for my $file (glob '/proc/[0-9]*/environ') {
        my $env = eval { read_text($file) } // next;
        my ($pid) = $file =~ /(\d+)/;
        my $exe = readlink("/proc/$pid/exe") // '';
        next if "\0$env" !~ /\0\Q$mark\E\0/ || $exe !~ m{/(?:apache2|httpd)$};
        system "gdb -batch -p $pid -ex 'thread apply all bt 25'"
            . " >>$dir/logs/stacks 2>&1 </dev/null";
    }
    Test::More::diag("stacks are in $dir/logs/stacks");
    return;
}

# Until no connection of a server is open. httpd's event MPM may crash when it is
# stopped in the moment in which a worker closes its connection (the child's
# main thread aborts the sockets of workers, and one of them is just freed).
sub wait_until_quiet {
    my ($port) = @_;
    my $local = sprintf ':%04X', $port;
    wait_for {
        # A listening socket is 0A, one that only the kernel remembers 06.
        !grep { /^\s*\d+: \w+$local \w+:\w+ (?!0A|06)/ }
            split /\n/, read_text('/proc/net/tcp');
    } 3;
    # The worker still clears the connection's memory.
    select undef, undef, undef, 0.05;
    return;
}

sub process_rss {
    my ($pid) = @_;
    my ($kb) = read_text("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m;
    return $kb;
}

# ---- the log ----

sub announce { push @announced, @_; return }

sub log_mark { return -s $_[0] || 0 }

# The lines of a log from an offset on.
sub log_since {
    my ($mark, $path) = @_;
    $path ||= $main_log;
    open my $fh, '<', $path or return ();
    seek $fh, $mark, 0;
    my @lines = <$fh>;
    chomp @lines;
    return @lines;
}

# How many lines of the shared server's log, since this file began, match.
sub log_count {
    my ($pattern) = @_;
    return scalar grep { $_ =~ $pattern } log_since($started);
}

# The lines that nobody announced.
sub unannounced {
    my (@lines) = @_;
    my @bad;
    for my $line (@lines) {
        next if $line eq '';
        my ($level) = $line =~ /^\[[^\]]+\] \[\w*:(\w+)\]/;
        my $serious = !$level || $level =~ /^(?:warn|error|crit|alert|emerg)$/;
        next if !$serious || grep { $line =~ $_ } @announced, known();
        push @bad, $line;
    }
    return @bad;
}

# What httpd itself says under some MPM or sanitizer, whatever the test does.
sub known {
    my @known = (qr/AH10034: The mpm module \(prefork\.c\) is not supported/,
        # Debian's httpd and its OpenSSL are of different days.
        qr/AH01882: Init: this version of mod_ssl was compiled against/);
    push @known, qr/PW00\d\d .*prefork/ if !threaded();
    # decimal's C code, where it is set up again: docs/internals.
    push @known, qr/mpd_setminalloc/ if !python_at_least(13);
    return @known;
}

sub judge_log {
    my ($path, $mark) = @_;
    my @bad = unannounced(log_since($mark, $path));
    my $ok  = Test::More::is(scalar @bad, 0, "$path: nothing unannounced");
    Test::More::diag("unannounced: $_") for @bad[0 .. ($#bad > 20 ? 20 : $#bad)];
    return $ok;
}

sub position_of_last_file {
    my $file = "$dir/logs/judged";
    return -f $file ? 0 + read_text($file) : 0;
}

# Ends the test file. The end of the requests may be logged a moment after
# their answers, hence the request that waits its turn.
sub finish {
    my $end = log_mark($main_log);
    judge_log($main_log, $started);
    write_text("$dir/logs/judged", $end);
    Test::More::done_testing();
    alarm 0;
    return;
}

1;
