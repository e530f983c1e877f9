# SPDX-License-Identifier: Apache-2.0
package PWTest::Prometheus;

# A strict reader of Prometheus's text format 0.0.4, for what one scrape may not
# contain and most readers bear: a name without HELP or TYPE, the samples of a
# name in two places, a sample twice, a histogram whose buckets do not grow.
#
#   my $p = PWTest::Prometheus::parse($text);
#   $p->{errors}            # list of strings
#   $p->{types}{NAME}       # "counter", ...
#   $p->{labels}{NAME}      # hash of label names
#   $p->{samples}           # { 'NAME{a="b"}' => value }, labels sorted
use strict;
use warnings FATAL => 'all';

my $NAME  = qr/[a-zA-Z_:][a-zA-Z0-9_:]*/;
my $LABEL = qr/[a-zA-Z_][a-zA-Z0-9_]*/;
my $VALUE = qr/(?:[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?|[+-]Inf|NaN)/i;

sub parse {
    my ($text) = @_;
    my $p = bless { errors => [], types => {}, labels => {}, samples => {},
        family => '', helped => {}, buckets => {} }, __PACKAGE__;
    $p->error('no end of line at the end') if $text !~ /\n\z/;
    $p->line($_) for split /\n/, $text =~ s/\n\z//r, -1;
    $p->histograms;
    return $p;
}

sub error {
    my ($p, $what) = @_;
    push @{ $p->{errors} }, $what;
    return;
}

sub line {
    my ($p, $line) = @_;
    if ($line =~ /^# HELP ($NAME) (\S.*)$/) {
        $p->error("$1 comes again") if $p->{helped}{$1}++;
        $p->{family} = $1;
    }
    elsif ($line =~ /^# TYPE ($NAME) (counter|gauge|histogram)$/) {
        my ($name, $type) = ($1, $2);
        $p->error("TYPE of $name stands alone")
            if $p->{family} ne $name || exists $p->{types}{$name};
        $p->{types}{$name} = $type;
        $p->error("$name is a $type") if ($type eq 'counter') ne ($name =~ /_total$/);
    }
    elsif ($line =~ /^($NAME)(?:\{(.*)\})? ($VALUE)$/) {
        $p->sample($1, $2 // '', $3);
    }
    else {
        $p->error("not a line: $line");
    }
    return;
}

sub sample {
    my ($p, $name, $text, $value) = @_;
    my $family = $p->{family};
    my $type   = $p->{types}{$family} // '';
    my $suffix = $name =~ s/^\Q$family\E//r;
    $p->error("$name is not of $family")
        if $type eq 'histogram' ? $suffix !~ /^_(?:bucket|sum|count)$/ : $suffix ne '';
    my %labels;
    while ($text =~ s/^($LABEL)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?=.)|$)//) {
        $p->error("$name has $1 twice") if exists $labels{$1};
        $labels{$1} = $2;
    }
    $p->error("labels of $name: $text") if $text ne '';
    $p->{labels}{$family}{$_} = 1 for keys %labels;
    my $key = $name . '{' . join(',', map { "$_=\"$labels{$_}\"" } sort keys %labels) . '}';
    $p->error("$key twice") if exists $p->{samples}{$key};
    $p->{samples}{$key} = $value;
    $p->error("$key is negative") if $value =~ /^-/;
    if ($suffix eq '_bucket') {
        my $le = delete $labels{le} // '';
        my $of = join ',', map { "$_=\"$labels{$_}\"" } sort keys %labels;
        push @{ $p->{buckets}{$family}{$of} }, [ $le, $value ];
    }
    return;
}

sub histograms {
    my ($p) = @_;
    for my $family (keys %{ $p->{buckets} }) {
        for my $of (keys %{ $p->{buckets}{$family} }) {
            my @buckets = @{ $p->{buckets}{$family}{$of} };
            my $what = "$family\{$of}";
            for my $i (1 .. $#buckets) {
                $p->error("bounds of $what do not grow")
                    if $buckets[$i][0] ne '+Inf' && $buckets[$i][0] <= $buckets[$i - 1][0];
                $p->error("buckets of $what shrink")
                    if $buckets[$i][1] < $buckets[$i - 1][1];
            }
            $p->error("$what does not end at +Inf") if $buckets[-1][0] ne '+Inf';
            my $count = $p->{samples}{"${family}_count{$of}"} // 'none';
            $p->error("$what: count $count, bucket +Inf $buckets[-1][1]")
                if $count ne $buckets[-1][1];
            $p->error("$what has no sum")
                if !exists $p->{samples}{"${family}_sum{$of}"};
        }
    }
    return;
}

1;
