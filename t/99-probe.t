use PWTest;
use PWTest::Server;
my $s = PWTest::Server->new(name => 'macro', modules => ['macro'], conf => <<'END');
<Macro Site $name $more>

    WSGIScriptAlias /$name @DIR@/apps/near.py $more
</Macro>
Use Site first application-group=x
Use Site second interpreter=nowhere
END
my ($st, $said) = $s->run('-t'); diag("$st $said");
$s->{conf} =~ s/interpreter=nowhere/inter=nowhere/;
($st, $said) = $s->run('-t'); diag("$st $said");
$s->{conf} =~ s/inter=nowhere/application-group=y/;
($st, $said) = $s->run('-t'); diag("$st $said");
($st, $said) = $s->run('-t', '-D', 'DUMP_POLYWSGI'); diag("$st $said");
diag(join "\n", log_since(0, $s->{log}));
ok(1);
finish();
