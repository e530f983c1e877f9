# SPDX-License-Identifier: Apache-2.0
package PWTest::HTTP;

# An HTTP/1 client that hides nothing: it says whether a response was complete,
# how the connection ended, and hands out the body piece by piece.
#
# An answer is a hash: status, reason, headers (list of [name, value]), h (last
# value by lower-case name), body, complete (the framing was satisfied), closed
# (the server closed the connection), interim (statuses 1xx that came before).
use strict;
use warnings FATAL => 'all';

use IO::Socket::INET;
use Time::HiRes qw(time);

sub new {
    my ($class, %o) = @_;
    my $sock = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1',
        PeerPort => $o{port},
        Timeout  => 10,
        $o{from} ? (LocalAddr => $o{from}) : (),
    ) or return;
    $sock->autoflush(1);
    binmode $sock;
    return bless {
        sock => $sock, buf => '', eof => 0, reset => 0,
        timeout => $o{timeout} || ($ENV{PW_T_SANITIZER} ? 120 : 30),
    }, $class;
}

sub send {
    my ($self, $bytes) = @_;
    my $at = 0;
    while ($at < length $bytes) {
        my $n = syswrite $self->{sock}, $bytes, 65536, $at;
        return 0 if !defined $n;
        $at += $n;
    }
    return 1;
}

# The bytes of a request's head.
sub head {
    my (%o) = @_;
    my $method = $o{method} || 'GET';
    my $proto  = $o{proto}  || 'HTTP/1.1';
    my $text   = "$method $o{path} $proto\r\n";
    $text .= 'Host: ' . ($o{host} // 'main.test') . "\r\n";
    my @headers = @{ $o{headers} || [] };
    while (my ($name, $value) = splice @headers, 0, 2) {
        $text .= "$name: $value\r\n";
    }
    return "$text\r\n";
}

# One more read; false at the end of the connection. Dies when nothing comes.
sub fill {
    my ($self) = @_;
    return 0 if $self->{eof};
    my $end = time + $self->{timeout};
    while (1) {
        my $bits = '';
        vec($bits, fileno $self->{sock}, 1) = 1;
        my $left = $end - time;
        die "no answer within $self->{timeout} s\n" if $left <= 0;
        last if select($bits, undef, undef, $left) > 0;
    }
    my $n = sysread $self->{sock}, $self->{buf}, 65536, length $self->{buf};
    return $n if $n;
    $self->{eof}   = 1;
    $self->{reset} = 1 if !defined $n;
    return 0;
}

# Is there a byte to read, or an end, within so many seconds?
sub ready {
    my ($self, $seconds) = @_;
    return 1 if length $self->{buf} || $self->{eof};
    my $bits = '';
    vec($bits, fileno $self->{sock}, 1) = 1;
    return select($bits, undef, undef, $seconds) > 0;
}

sub line {
    my ($self) = @_;
    while ($self->{buf} !~ /\n/) {
        $self->fill or return;
    }
    $self->{buf} =~ s/^([^\n]*)\n// or return;
    my $line = $1;
    $line =~ s/\r$//;
    return $line;
}

# Status line and headers, interim responses skipped.
sub read_head {
    my ($self) = @_;
    my %a = (headers => [], h => {}, body => '', complete => 0, interim => []);
    while (1) {
        my $first = $self->line;
        return { %a, status => 0, reason => '' } if !defined $first;
        my ($status, $reason) = $first =~ m{^HTTP/1\.[01] (\d{3}) ?(.*)$}
            or return { %a, status => 0, reason => "not HTTP: $first" };
        @a{qw(status reason)} = ($status, $reason);
        while (defined(my $line = $self->line)) {
            last if $line eq '';
            my ($name, $value) = $line =~ /^([^:]+):\s*(.*?)\s*$/ or next;
            push @{ $a{headers} }, [$name, $value];
            $a{h}{ lc $name } = $value;
        }
        return \%a if $status >= 200;
        push @{ $a{interim} }, $status;
        @a{qw(headers h)} = ([], {});
    }
}

# The next piece of a chunked body; '' is the last chunk, undef a broken end.
sub read_chunk {
    my ($self) = @_;
    my $line = $self->line;
    return if !defined $line || $line !~ /^([0-9a-fA-F]+)/;
    my $size = hex $1;
    if ($size == 0) {
        while (defined(my $trailer = $self->line)) {
            return '' if $trailer eq '';
        }
        return;
    }
    while (length $self->{buf} < $size + 2) {
        $self->fill or return;
    }
    my $data = substr $self->{buf}, 0, $size;
    substr($self->{buf}, 0, $size + 2) = '';
    return $data;
}

sub read_body {
    my ($self, $a, $method) = @_;
    my $h = $a->{h};
    if ($method eq 'HEAD' || $a->{status} == 204 || $a->{status} == 304) {
        $a->{complete} = $a->{status} ? 1 : 0;
    }
    elsif (($h->{'transfer-encoding'} || '') =~ /chunked/i) {
        while (defined(my $data = $self->read_chunk)) {
            $a->{body} .= $data;
            if ($data eq '') {
                $a->{complete} = 1;
                last;
            }
        }
    }
    elsif (defined $h->{'content-length'}) {
        my $size = $h->{'content-length'};
        while (length $self->{buf} < $size) {
            $self->fill or last;
        }
        $a->{body} = substr $self->{buf}, 0, $size;
        $a->{complete} = length $a->{body} == $size ? 1 : 0;
        substr($self->{buf}, 0, length $a->{body}) = '';
    }
    else {
        1 while $self->fill;
        $a->{body} = $self->{buf};
        $self->{buf} = '';
        $a->{complete} = $a->{status} && !$self->{reset} ? 1 : 0;
    }
    return $a;
}

# One whole response.
sub response {
    my ($self, $method) = @_;
    my $a = $self->read_head;
    $self->read_body($a, $method || 'GET') if $a->{status};
    $a->{closed} = $self->{eof};
    return $a;
}

# Has the server closed the connection (within a moment)?
sub closed {
    my ($self) = @_;
    while ($self->ready(5)) {
        return 1 if !$self->fill;
    }
    return 0;
}

sub close {
    my ($self) = @_;
    close $self->{sock};
    return;
}

# One request on a connection of its own. Options: port, path, method, host,
# headers (list), body, proto, keep (leaves the connection open, in {conn}).
sub request {
    my (%o) = @_;
    my $conn = PWTest::HTTP->new(%o)
        or return { status => 0, reason => "cannot connect: $!", h => {},
            headers => [], body => '', complete => 0, closed => 1 };
    my @headers = @{ $o{headers} || [] };
    push @headers, Connection => 'close' if !$o{keep};
    push @headers, 'Content-Length' => length $o{body} if defined $o{body};
    $conn->send(head(%o, headers => \@headers) . ($o{body} // ''));
    my $a = $conn->response($o{method});
    $a->{conn} = $conn if $o{keep};
    $conn->close if !$o{keep};
    return $a;
}

1;
