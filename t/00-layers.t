# SPDX-License-Identifier: Apache-2.0
# The source's own rules, and that the documentation names what the code has.
use PWTest;

my $src = $ENV{PW_T_SRC};

sub files {
    my (@patterns) = @_;
    return grep { -f } map { glob "$src/$_" } @patterns;
}

subtest 'layers' => sub {
    my $said = qx(cd '$src' && python3 tools/layers.py 2>&1);
    is($?, 0, 'tools/layers.py is content') or diag($said);
    like($said, qr/^(?:ok|1\.\.)/m, 'and has looked');
};

my %in_code;
for my $file (files('src/*.c', 'src/py/*.py')) {
    my $text = read_text($file);
    # Comments may give examples.
    $text =~ s{/\*.*?\*/}{}gs;
    push @{ $in_code{$1} }, $file while $text =~ /(PW\d{4})/g;
}
cmp_ok(scalar keys %in_code, '>', 20, 'the code has its log codes');

my %in_docs;
for my $file (files('docs/errors/*.md', 'docs/errors.md', 'docs/errors.d/*.md')) {
    my $text = read_text($file);
    my ($head, @entries) = split /^#{2,3} (?=PW\d{4})/m, $text;
    for my $entry (@entries) {
        my ($code) = $entry =~ /^(PW\d{4})/;
        my @missing = grep { $entry !~ /^\W*$_\W/m }
            qw(Severity Text Cause Outcome Mend);
        push @missing, 'a place of its own' if $in_docs{$code}++;
        push @missing, 'a place in the code' if !$in_code{$code};
        is("@missing", '', "the entry of $code is whole");
    }
}
ok($in_docs{$_}, "$_ is described in docs/errors") for sort keys %in_code;

my @twice = grep {
    my %where = map { $_ => 1 } @{ $in_code{$_} };
    keys %where > 1;
} sort keys %in_code;
is("@twice", '', 'no code is used by two files');

my %directive;
for my $file (files('src/pw_config.c')) {
    my $text = read_text($file);
    $directive{$1}++ while $text =~ /"<?(WSGI[A-Z]\w+)"\s*,/g;
}
my $words = join '', map { read_text($_) } files('docs/*.md',
    'docs/*/*.md', 'README.md');
ok($words =~ /\b$_\b/, "$_ is in the documentation") for sort keys %directive;

finish();
