# SPDX-License-Identifier: Apache-2.0
package PWTest::H2;

# An HTTP/2 client that says what no other would: raw header fields, by RFC 9113
# and HPACK's literals (RFC 7541), over cleartext with prior knowledge.
#
#   my $h2 = PWTest::H2->new(port => $port);
#   my $id = $h2->send_headers([ ':method' => 'GET', ... ], end => 1);
#   my $a  = $h2->response($id);
#
# An answer: status (0: none came), body, complete (END_STREAM came), reset (the
# code of RST_STREAM, or undef), goaway (the code of GOAWAY, or undef).
use strict;
use warnings FATAL => 'all';

use IO::Socket::INET;
use Time::HiRes qw(time);

my %STATUS = (0x88 => 200, 0x89 => 204, 0x8a => 206, 0x8b => 304, 0x8c => 400,
    0x8d => 404, 0x8e => 500);
# Huffman codes of the digits: 0 1 2 have five bits, 3 to 9 six.
my %DIGIT = (map({ (sprintf('%05b', $_) => $_) } 0 .. 2),
    map { (sprintf('%06b', 0x19 + $_ - 3) => $_) } 3 .. 9);

sub new {
    my ($class, %o) = @_;
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $o{port},
        Timeout => 10) or return;
    $sock->autoflush(1);
    binmode $sock;
    my $self = bless { sock => $sock, buf => '', next => 1, streams => {},
        timeout => $ENV{PW_T_SANITIZER} ? 120 : 30 }, $class;
    $self->put("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    $self->frame(4, 0, 0, pack 'nN', 4, 1 << 24); # a wide window for streams
    $self->frame(8, 0, 0, pack 'N', 1 << 24);     # and for the connection
    return $self;
}

sub put {
    my ($self, $bytes) = @_;
    my $at = 0;
    while ($at < length $bytes) {
        my $n = syswrite $self->{sock}, $bytes, 65536, $at;
        return if !defined $n;
        $at += $n;
    }
    return 1;
}

sub frame {
    my ($self, $type, $flags, $id, $payload) = @_;
    my $length = substr pack('N', length $payload), 1;
    return $self->put($length . pack('CCN', $type, $flags, $id) . $payload);
}

# A string of at most 126 bytes, or a longer one, without Huffman.
sub string {
    my ($text) = @_;
    my $n = length $text;
    return chr($n) . $text if $n < 127;
    my $bytes = chr 127;
    for ($n -= 127; $n >= 128; $n >>= 7) {
        $bytes .= chr(0x80 | $n & 0x7f);
    }
    return $bytes . chr($n) . $text;
}

# A new stream; end: no body follows.
sub send_headers {
    my ($self, $fields, %o) = @_;
    my $id = $self->{next};
    $self->{next} += 2;
    my ($block, @rest) = ('', @$fields);
    while (my ($name, $value) = splice @rest, 0, 2) {
        $block .= "\0" . string($name) . string($value);
    }
    $self->frame(1, 4 | ($o{end} ? 1 : 0), $id, $block);
    $self->{streams}{$id} = { status => 0, body => '', complete => 0 };
    return $id;
}

# The fields of a plain request, and more.
sub get {
    my ($path, @more) = @_;
    return [ ':method' => 'GET', ':scheme' => 'http', ':path' => $path,
        ':authority' => 'main.test', @more ];
}

sub send_data {
    my ($self, $id, $data, %o) = @_;
    return $self->frame(0, $o{end} ? 1 : 0, $id, $data);
}

sub reset_stream {
    my ($self, $id) = @_;
    return $self->frame(3, 0, $id, pack 'N', 8);
}

# One frame, or nothing at the end of the connection.
sub read_frame {
    my ($self) = @_;
    my $need = 9;
    while (length $self->{buf} < $need
        || length $self->{buf} < ($need = 9 + unpack 'N', "\0$self->{buf}")) {
        my ($bits, $end) = ('', time + $self->{timeout});
        vec($bits, fileno $self->{sock}, 1) = 1;
        die "no frame within $self->{timeout} s\n"
            if select($bits, undef, undef, $self->{timeout}) <= 0;
        sysread $self->{sock}, $self->{buf}, 65536, length $self->{buf} or return;
    }
    my $size = unpack 'N', "\0$self->{buf}";
    my ($type, $flags, $id) = unpack 'x3 C C N', $self->{buf};
    my $payload = substr $self->{buf}, 9, $size;
    substr($self->{buf}, 0, 9 + $size) = '';
    return ($type, $flags, $id & 0x7fffffff, $payload);
}

# httpd sends :status first: an index, or a literal with the name's index 8.
sub status_of {
    my ($block) = @_;
    $block =~ s/^[\x20-\x3f]+//; # sizes of the table
    my $first = ord $block;
    return $STATUS{$first} if $STATUS{$first};
    my $length = ord substr $block, 1, 1;
    my $text = substr $block, 2, $length & 0x7f;
    return $text if !($length & 0x80);
    my $bits = unpack 'B*', $text;
    my $digits = '';
    while (length $digits < 3 && $bits =~ s/^(0[01]{4}(?=.)|01[01]{4})//) {
        my $code = $1;
        if (!exists $DIGIT{$code}) {
            $bits =~ s/^(.)// or last;
            $code .= $1;
        }
        $digits .= $DIGIT{$code} // last;
    }
    return $digits || 0;
}

sub take {
    my ($self, $type, $flags, $id, $payload) = @_;
    my $s = $self->{streams}{$id} || {};
    if ($type == 0) {
        $s->{body} .= $payload;
        for my $window (0, $id) {
            $self->frame(8, 0, $window, pack 'N', length $payload) if length $payload;
        }
    }
    elsif ($type == 1 && !$s->{status}) {
        my $block = $flags & 0x20 ? substr($payload, 5) : $payload;
        my $status = status_of($block);
        $s->{status} = $status if $status >= 200;
    }
    elsif ($type == 3) {
        $s->{reset} = unpack 'N', $payload;
    }
    elsif ($type == 4 && !($flags & 1)) {
        $self->frame(4, 1, 0, '');
    }
    elsif ($type == 7) {
        $self->{goaway} = unpack 'x4 N', $payload;
    }
    $s->{complete} = 1 if $type <= 1 && $flags & 1;
    return;
}

# Reads until the stream has ended, whatever way.
sub response {
    my ($self, $id) = @_;
    my $s = $self->{streams}{$id};
    while (!$s->{complete} && !defined $s->{reset}) {
        my @frame = $self->read_frame or last;
        $self->take(@frame);
        last if defined $self->{goaway} && $self->{goaway} != 0;
    }
    return { %$s, goaway => $self->{goaway} };
}

# Reads until the body of the stream has that much.
sub read_body {
    my ($self, $id, $size) = @_;
    my $s = $self->{streams}{$id};
    while (length $s->{body} < $size && !$s->{complete} && !defined $s->{reset}) {
        my @frame = $self->read_frame or last;
        $self->take(@frame);
    }
    return $s->{body};
}

sub close {
    my ($self) = @_;
    close $self->{sock};
    return;
}

1;
