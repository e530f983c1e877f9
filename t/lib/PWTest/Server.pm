# SPDX-License-Identifier: Apache-2.0
package PWTest::Server;

# A private httpd for tests that break, restart or stop one.
#
#   my $s = PWTest::Server->new(name => 'stop', conf => "WSGIScriptAlias ...");
#   my $file = $s->app('x.py', $python_source);
#   $s->start; ... $s->get('/x') ... $s->stop;
#
# Its directory is $s->{dir}; @DIR@, @PORT@, @VENVS@ and @APPS@ in `conf` are
# replaced. stop() judges its log as PWTest describes.
use strict;
use warnings FATAL => 'all';

use File::Path qw(make_path);
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(time);
use PWTest ();
use PWTest::HTTP;

my @running;

sub new {
    my ($class, %o) = @_;
    my $t   = $ENV{PW_T_DIR};
    my $dir = "$t/private/$o{name}";
    make_path("$dir/apps", "$dir/htdocs", "$dir/var");
    chmod 01777, "$dir/var";
    my $self = bless {
        name => $o{name}, dir => $dir, log => "$dir/error_log", judged => 0,
        conf => $o{conf}, sizing => $o{sizing}, port => free_port(),
        global => $o{global} || '', modules => modules_conf($dir, $o{as}),
    }, $class;
    write_log($self->{log});
    return $self;
}

# The lines that load modules; ours under mod_wsgi's name where as => 'wsgi'.
sub modules_conf {
    my ($dir, $as) = @_;
    my $path = "$ENV{PW_T_DIR}/conf/modules.conf";
    return $path if !$as;
    my $text = PWTest::read_text($path) =~ s/polywsgi_module/${as}_module/r;
    PWTest::write_text("$dir/modules.conf", $text);
    return "$dir/modules.conf";
}

sub write_log {
    my ($path) = @_;
    open my $fh, '>', $path or die "$path: $!";
    close $fh or die "$path: $!";
    return;
}

sub free_port {
    my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
        or die "cannot listen: $!";
    return $s->sockport;
}

sub app {
    my ($self, $name, $source) = @_;
    my $path = "$self->{dir}/apps/$name";
    PWTest::write_text($path, $source);
    return $path;
}

# Threads enough for a test, one child, room for a graceful restart.
sub sizing {
    my ($self) = @_;
    return $self->{sizing} if $self->{sizing};
    return <<'END' if PWTest::threaded();
StartServers 1
ServerLimit 4
ThreadLimit 16
ThreadsPerChild 16
MinSpareThreads 1
MaxSpareThreads 16
MaxRequestWorkers 16
END
    return <<'END';
StartServers 1
MinSpareServers 1
MaxSpareServers 1
ServerLimit 4
MaxRequestWorkers 4
END
}

sub text {
    my ($self) = @_;
    my $dir  = $self->{dir};
    my $home = $ENV{PW_T_PYTHON_HOME};
    my $text = "ServerRoot $dir\nDefaultRuntimeDir $dir\nPidFile $dir/pid\n"
        . "DocumentRoot $dir/htdocs\nListen 127.0.0.1:$self->{port}\n"
        . "ServerName main.test:$self->{port}\nErrorLog $dir/error_log\n"
        . "Include $self->{modules}\n"
        . "LogLevel info\n<IfModule http2_module>\n  LogLevel http2:warn\n</IfModule>\n"
        . "<IfModule polywsgi_module>\n"
        . "  LogLevel polywsgi:debug\n</IfModule>\n" . $self->sizing
        . "<Directory />\n  Require all granted\n</Directory>\n"
        . "CoreDumpDirectory $dir/var\nTypesConfig /etc/mime.types\n";
    $text .= "User $ENV{PW_T_USER}\nGroup $ENV{PW_T_GROUP}\n" if $> == 0;
    my $outside = $self->{conf} =~ s{<WSGIInterpreter.*?</WSGIInterpreter>}{}sgr;
    $text .= "WSGIPythonHome $home\n" if $home && $outside !~ /^WSGIPythonHome/m;
    $text .= $self->{conf} . "\n";
    my %word = (DIR => $dir, PORT => $self->{port},
        VENVS => $ENV{PW_T_VENVS}, APPS => "$ENV{PW_T_DIR}/apps");
    $text =~ s/\@(DIR|PORT|VENVS|APPS)\@/$word{$1}/g;
    return $text;
}

sub write_conf {
    my ($self, $conf) = @_;
    $self->{conf} = $conf if defined $conf;
    PWTest::write_text("$self->{dir}/httpd.conf", $self->text);
    return;
}

# httpd with some arguments, to its end: (exit status, all it printed).
sub run {
    my ($self, @args) = @_;
    $self->write_conf;
    open my $fh, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', $ENV{PW_T_HTTPD},
        '-f', "$self->{dir}/httpd.conf", @args or die "httpd: $!";
    local $/ = undef;
    my $said = <$fh> // '';
    close $fh;
    return ($? >> 8, $said);
}

# Starts it in the foreground, as our own process, and waits until it accepts.
sub start {
    my ($self, @args) = @_;
    $self->write_conf;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>>', $self->{log};
        open STDERR, '>>', $self->{log};
        # In a process group of its own: prefork's parent signals the whole
        # group when it ends.
        POSIX::setsid();
        exec $ENV{PW_T_HTTPD}, '-f', "$self->{dir}/httpd.conf",
            '-DFOREGROUND', @args
            or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    push @running, $self;
    my $up = PWTest::wait_for { $self->connects || !$self->alive } 60;
    return $up && $self->alive ? 1 : 0;
}

sub connects {
    my ($self) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $self->{port}, Timeout => 5) ? 1 : 0;
}

sub alive {
    my ($self) = @_;
    return 0 if !$self->{pid};
    if (waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid}) {
        $self->{status} = $?;
        $self->{pid}    = 0;
        return 0;
    }
    return 1;
}

# The children of httpd's parent now.
sub children {
    my ($self) = @_;
    my @pids;
    for my $file (glob '/proc/[0-9]*/stat') {
        my $stat = eval { PWTest::read_text($file) } // next;
        my ($pid, $state, $parent) = $stat =~ /^(\d+) \(.*\) (\S) (\d+)/s
            or next;
        push @pids, $pid if $parent == ($self->{pid} || -1) && $state ne 'Z';
    }
    return @pids;
}

sub signal {
    my ($self, $name) = @_;
    # A HUP ends children as a stop does: see stop.
    PWTest::wait_until_quiet($self->{port}) if $_[1] eq 'HUP' && $self->alive;
    # 0 would be our own process group.
    return $self->alive ? kill $name => $self->{pid} : 0;
}

# Sends TERM and waits. Returns the seconds it took, undef where it did not end
# within `limit` (then it is killed). Judges the log unless `quiet`. busy: requests
# are running.
sub stop {
    my ($self, %o) = @_;
    return if !$self->alive;
    PWTest::wait_until_quiet($self->{port}) if !$o{busy};
    my @family = $self->children;
    my $from   = time;
    $self->signal('TERM');
    my $ended = PWTest::wait_for { !$self->alive } $o{limit} || 30;
    my $took  = time - $from;
    if (!$ended) {
        kill KILL => $self->{pid}, @family;
        waitpid $self->{pid}, 0;
        $self->{pid} = 0;
    }
    @running = grep { $_ != $self } @running;
    $self->judge if !$o{quiet};
    return $ended ? $took : undef;
}

sub judge {
    my ($self) = @_;
    my $ok = PWTest::judge_log($self->{log}, $self->{judged});
    $self->{judged} = -s $self->{log};
    return $ok;
}

sub request {
    my ($self, @more) = @_;
    return PWTest::HTTP::request(port => $self->{port}, @more);
}

sub get {
    my ($self, $path, @more) = @_;
    return $self->request(path => $path, @more);
}

sub get_json {
    my ($self, $path, @more) = @_;
    return PWTest::decode($self->get($path, @more), $path);
}

sub connect {
    my ($self, @more) = @_;
    return PWTest::HTTP->new(port => $self->{port}, @more);
}

sub lines {
    my ($self, $pattern) = @_;
    return grep { $_ =~ $pattern } PWTest::log_since(0, $self->{log});
}

# ---- what some tests need beside a server ----

# The first configuration of a page of docs/, with other words in place of some.
sub page_conf {
    my ($page, %words) = @_;
    my ($conf) = PWTest::read_text("$ENV{PW_T_SRC}/docs/$page") =~ /```apache\n(.*?)```/s
        or die "docs/$page has no configuration";
    $conf =~ s/\Q$_\E/$words{$_}/g for sort { length $b <=> length $a } keys %words;
    return $conf =~ s/\*:80>/*:\@PORT\@>/gr;
}

# LoadModule lines for those modules of httpd that are there and not loaded yet.
sub load {
    my (@names) = @_;
    chomp(my $from = qx($ENV{PW_T_APXS} -q LIBEXECDIR));
    my $loaded = PWTest::read_text("$ENV{PW_T_DIR}/conf/modules.conf");
    return join '', map { "LoadModule ${_}_module $from/mod_$_.so\n" }
        grep { -f "$from/mod_$_.so" && $loaded !~ /\b${_}_module\b/ } @names;
}

# Are all of these there?
sub has {
    my (@names) = @_;
    chomp(my $from = qx($ENV{PW_T_APXS} -q LIBEXECDIR));
    return !grep { !-f "$from/mod_$_.so" } @names;
}

# Builds t/modules/mod_NAME.c; returns the path of the shared object.
sub build_module {
    my ($self, $name) = @_;
    my %q = map { my $v = qx($ENV{PW_T_APXS} -q $_); chomp $v; ($_ => $v) }
        qw(CFLAGS EXTRA_CPPFLAGS INCLUDEDIR APR_INCLUDEDIR);
    my $so = "$self->{dir}/mod_$name.so";
    my $cc = $ENV{CC} || 'gcc';
    system("$cc -O1 -fPIC -shared -o $so $q{CFLAGS} $q{EXTRA_CPPFLAGS}"
        . " -I$q{INCLUDEDIR} -I$q{APR_INCLUDEDIR}"
        . " $ENV{PW_T_DIR}/modules/mod_$name.c") == 0
        or die "cannot build mod_$name.c";
    return $so;
}

# A certificate and a port for TLS, or nothing where that cannot be had.
sub certificate {
    my ($self) = @_;
    return if !has('ssl') || system('which openssl >/dev/null 2>&1') != 0;
    my $file = "$self->{dir}/tls.pem";
    system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=tls.test"
        . " -addext subjectAltName=DNS:tls.test -keyout $file.key -out $file.crt"
        . " >/dev/null 2>&1 && cat $file.crt $file.key > $file") == 0
        or die 'openssl makes no certificate';
    return { file => $file, ca => "$file.crt", port => free_port(),
        load => load('socache_shmcb', 'ssl') };
}

# What curl prints of a URL whose host is this machine.
sub curl {
    my ($self, $url, @options) = @_;
    my ($host, $port) = $url =~ m{^\w+://([^:/]+):(\d+)} or die "no host: $url";
    my @ca = -f "$self->{dir}/tls.pem.crt" ? ('--cacert', "$self->{dir}/tls.pem.crt") : ();
    open my $fh, '-|', 'curl', '-sS', '--max-time', 60, '--resolve',
        "$host:$port:127.0.0.1", @ca, @options, $url or die "curl: $!";
    local $/ = undef;
    my $text = <$fh> // '';
    close $fh;
    return $text;
}

# A test that dies must leave no server behind.
END {
    my $status = $?;
    for my $self (@running) {
        next if !$self->{pid};
        kill KILL => $self->{pid}, $self->children;
        waitpid $self->{pid}, 0;
    }
    $? = $status;
}

1;
