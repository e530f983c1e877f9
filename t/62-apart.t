# SPDX-License-Identifier: Apache-2.0
# No two sites share an interpreter that the configuration does not let share:
# generated configurations, judged by a model of their own; and requests that
# try to get into another site's.
use PWTest;
use PWTest::Server;
use JSON::PP;

my $ROUNDS = $ENV{PW_APART_ROUNDS} || 25;
my $seed = $ENV{PW_APART_SEED} || 4711;
diag("PW_APART_SEED=$seed");
srand $seed;

sub pick { return $_[rand @_] }

# One server or virtual host: what its mounts are named by.
sub key_of {
    my ($name, $port) = @_;
    return lc($name) . ($port && $port != 80 && $port != 443 ? ":$port" : '');
}

# The interpreter's name, by the rules of docs/directives/WSGIApplicationGroup.md.
sub name_of {
    my ($group, $key, $prefix) = @_;
    return "$key|$prefix" if $group eq '%{RESOURCE}';
    return $key if $group eq '%{SERVER}';
    return $group;
}

my @groups = ('%{RESOURCE}', '%{SERVER}', '%{GLOBAL}', 'one', 'two', 'blog');
my @names  = qw(a.test A.test b.test www.a.test a.test.evil);
my @prefixes = qw(/ /a /a/b /ab /a/);

# A configuration, and for each mount the name that its interpreter must have.
sub generate {
    my ($port) = @_;
    my (@conf, @want, %taken);
    my $main = rand() < 0.4 ? pick(@groups) : undef;
    push @conf, "WSGIApplicationGroup $main" if $main;
    push @conf, "<WSGIInterpreter blog>\nWSGISetEnv A b\n</WSGIInterpreter>" if rand() < 0.5;
    for my $n (1 .. 2 + rand 4) {
        my $name = pick(@names);
        my $shown = pick(0, 80, 443, 8080, $port);
        next if $taken{ lc $name . $shown }++;
        my $own = rand() < 0.3 ? pick(@groups) : undef;
        push @conf, "<VirtualHost *:$port>", 'ServerName ' . $name . ($shown ? ":$shown" : '');
        push @conf, 'ServerAlias ' . pick(@names) if rand() < 0.3;
        push @conf, "WSGIApplicationGroup $own" if $own;
        my %mounted;
        for my $prefix (map { pick(@prefixes) } 1 .. 1 + rand 3) {
            next if $mounted{$prefix}++;
            my $option = rand() < 0.4 ? pick(@groups) : undef;
            push @conf, "WSGIScriptAlias $prefix \@DIR\@/apps/" . pick('x.py', 'y.py')
                . ($option ? " application-group=$option" : '');
            # A virtual host without a port of its own has that of its address.
            push @want, [ lc $name, $shown || $port, $prefix,
                name_of($option // $own // $main // '%{RESOURCE}',
                    key_of($name, $shown || $port), $prefix) ];
        }
        push @conf, '</VirtualHost>';
    }
    return (join("\n", @conf), \@want);
}

my $server = PWTest::Server->new(name => 'apart', conf => '');
my $app = <<'END_APP';
import os
import polywsgi

TOKEN = os.urandom(8).hex()

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(polywsgi.interpreter + "\n" + TOKEN).encode()]
END_APP
$server->app($_, $app) for qw(x.py y.py);

subtest 'generated configurations' => sub {
    for my $round (1 .. $ROUNDS) {
        my ($conf, $want) = generate($server->{port});
        $server->{conf} = $conf;
        my ($status, $said) = $server->run('-t', '-D', 'DUMP_POLYWSGI');
        if ($status != 0) {
            fail("round $round: accepted");
            diag("$said\n$conf");
            next;
        }
        my $map = decode_json($said =~ /^(\{.*\})/ms ? $1 : '{}');
        my @have;
        for my $interp (@{ $map->{interpreters} }) {
            push @have, map { [ lc $_->{server}, $_->{port}, $_->{prefix}, $interp->{name} ] }
                map { @{ $_->{mounts} } } @{ $interp->{applications} };
        }
        is(scalar @have, scalar @$want, "round $round: every mount");
        my ($a, $b) = map { join "\n", sort map { "@$_" } @$_ } \@have, $want;
        is($a, $b, "round $round: in the interpreter of the model") or diag($conf);
    }
};

# The virtual hosts of a configuration, in its order: what names reach each, and
# its mounts with the interpreter's name that the model wants.
sub sites_of {
    my ($conf, @want) = @_;
    my @sites;
    for my $block ($conf =~ m{<VirtualHost.*?>(.*?)</VirtualHost>}gs) {
        my %names = map { lc() => 1 } $block =~ /^Server(?:Name|Alias) ([^:\s]+)/gm;
        my @mounts = map { [ $_, (shift @want)->[3] ] } $block =~ /^WSGIScriptAlias (\S+)/gm;
        push @sites, { names => \%names, mounts => \@mounts };
    }
    return @sites;
}

# The interpreter that answers: of the first site of that name, the first mount
# that fits; undef where there is none.
sub answering {
    my ($host, $path, @sites) = @_;
    my ($site) = grep { $_->{names}{ lc $host } } @sites or return;
    my ($mount) = grep { $path =~ m{^\Q@{[ $_->[0] =~ s{/$}{}r ]}\E/} } @{ $site->{mounts} };
    return $mount ? $mount->[1] : undef;
}

subtest 'some of them started' => sub {
    for my $round (1 .. 3) {
        my $s = PWTest::Server->new(name => "started$round", conf => '');
        my ($conf, $want) = generate($s->{port});
        $s->{conf} = $conf;
        $s->app($_, $app) for qw(x.py y.py);
        ok($s->start, "round $round: started") or diag($conf);
        my @sites = sites_of($conf, @$want);
        my %of;
        for my $host (map { keys %{ $_->{names} } } @sites) {
            for my $path (qw(/z /a/z /a/b/z /ab/z)) {
                my $name = answering($host, $path, @sites);
                my $a = $s->get($path, host => $host);
                is($a->{status}, defined $name ? 200 : 404, "$host$path: status") or diag($conf);
                next if $a->{status} != 200;
                my ($have, $token) = split /\n/, $a->{body};
                is($have, $name, "$host$path: in the interpreter of the model") or diag($conf);
                $of{$token}{$have} = 1;
            }
        }
        is(scalar(grep { keys %$_ > 1 } values %of), 0, 'no state is in two interpreters');
        $s->stop;
    }
} if threaded();

subtest 'requests that want to be elsewhere' => sub {
    my $s = PWTest::Server->new(name => 'elsewhere', conf => <<'END_CONF');
<VirtualHost *:@PORT@>
    ServerName first.test
    WSGIScriptAlias / @DIR@/apps/x.py
</VirtualHost>
<VirtualHost *:@PORT@>
    ServerName second.test
    WSGIScriptAlias / @DIR@/apps/x.py
</VirtualHost>
<VirtualHost *:@PORT@>
    ServerName third.test
    WSGIScriptAlias /in/ @DIR@/apps/
</VirtualHost>
END_CONF
    $s->app($_, $app) for qw(x.py y.py);
    ok($s->start, 'started');
    my @hosts = ('second.test:1', 'SECOND.TEST', 'second.test.', 'first.test', 'unheard.test',
        'unheard.test:80', '127.0.0.1', '%{GLOBAL}', 'a|b', 'second.test|/');
    my %seen;
    for my $round (1, 2) {
        for my $host (@hosts, 'third.test') {
            my $path = $host eq 'third.test' ? '/in/x.py' : '/p';
            my $a = $s->get($path, host => $host);
            if ($a->{status} == 400) {
                ok(1, "$host is refused");
                next;
            }
            is($a->{status}, 200, $host);
            my ($name, $token) = split /\n/, $a->{body};
            my $site = $host =~ /^second\.test(?::1|\.)?$/i ? 'second'
                : $host eq 'third.test' ? 'third' : 'first';
            like($name, qr/^$site\.test:$s->{port}\|/, "$host: is in its site's");
            $seen{$name}{$token} = 1;
        }
    }
    my $a = $s->get('http://second.test/p', host => 'first.test');
    like($a->{body}, qr/^second\.test/, 'an absolute URI is what counts');
    is(scalar keys %seen, 3, 'three interpreters answer');
    is(scalar(map { keys %$_ } values %seen), 3, 'each with one state');
    $s->stop;
    my ($line) = $s->lines(qr/PW0190/);
    my ($made) = $line =~ /instances_created=(\d+)/;
    # The main interpreter, those of two sites, and that of one file.
    is($made, 4, 'and no request has made another') or diag($line);
} if threaded();

finish();
