# SPDX-License-Identifier: Apache-2.0
# The handler wsgi-script in .htaccess: only with WSGIAllowOverride On, however
# it is written there; and what harmless files may say beside it.
use PWTest;
use PWTest::Server;

chomp(my $modules = qx(apxs -q LIBEXECDIR 2>/dev/null));
my $has_macro = -f "$modules/mod_macro.so";
my $load = $has_macro ? "LoadModule macro_module $modules/mod_macro.so\n" : '';
my $server = PWTest::Server->new(name => 'htaccess', conf => $load . <<'END_CONF');
<IfModule macro_module>
<Macro Made $first $second>
    $first$second wsgi-script
</Macro>
</IfModule>
Define word SetHandler
<Directory @DIR@/htdocs>
    AllowOverride All
    Options ExecCGI FollowSymLinks
</Directory>
<Directory @DIR@/htdocs/trusted>
    WSGIAllowOverride On
</Directory>
<Directory @DIR@/htdocs/conf>
    AddHandler wsgi-script .py
</Directory>
END_CONF
my $dir = $server->{dir};
my $app = <<'END_APP';
SECRET = "the source"
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"it ran"]
END_APP
for my $below (qw(user user/below trusted conf)) {
    mkdir "$dir/htdocs/$below" or die "$below: $!";
    write_text("$dir/htdocs/$below/x.py", $app);
}
write_text("$dir/htdocs/conf/page.html", "a page\n");

ok($server->start, 'started');
announce(qr/PW0316|PW0315/);

my $long = 'a' x 8170;
# Ways to give x.py our handler, or to try.
my @ways = (
    { name => 'SetHandler', text => "SetHandler wsgi-script\n" },
    { name => 'in capitals', text => "SETHANDLER wsgi-script\n" },
    { name => 'AddHandler', text => "AddHandler wsgi-script .py\n" },
    { name => 'AddType', text => "AddType wsgi-script .py\n" },
    { name => 'ForceType', text => "ForceType wsgi-script\n" },
    { name => 'in <Files>', text => "<Files x.py>\nSetHandler wsgi-script\n</Files>\n" },
    { name => 'in <If>', text => "<If \"true\">\nSetHandler wsgi-script\n</If>\n" },
    { name => 'by an expression', text =>
        "SetEnvIf Host . PART=script\nSetHandler \"wsgi-%{env:PART}\"\n" },
    { name => 'by mod_rewrite', text =>
        "RewriteEngine On\nRewriteRule ^x - [H=wsgi-script]\n" },
    { name => 'by its long name', text =>
        "RewriteEngine On\nRewriteRule ^x - [L,handler=wsgi-script]\n" },
    { name => 'by a type of mod_rewrite', text =>
        "RewriteEngine On\nRewriteRule ^x - [T=wsgi-script]\n" },
    { name => 'in two lines', text => "SetHand\\\nler wsgi-script\n" },
    { name => 'with its flags in the next line', text =>
        "RewriteEngine On\nRewriteRule ^x - \\\n[H=wsgi-script]\n" },
    { name => 'behind a line that is too long', never => 1, text =>
        "RewriteEngine On\nRewriteRule ^$long|x - [H=wsgi-script]\n" },
    { name => 'by a variable', text => "\${word} wsgi-script\n" },
    { name => 'in a parent directory', text => "SetHandler wsgi-script\n",
      path => '/user/below/x.py' },
    { name => 'below a harmless one', text => "SetHandler wsgi-script\n",
      path => '/user/below/x.py', inner => "Require all granted\n" },
);
push @ways, { name => 'by a macro', text => "Use Made SetHan dler\n" } if $has_macro;
cases(sub {
    my ($case) = @_;
    write_text("$dir/htdocs/user/.htaccess", $case->{text});
    write_text("$dir/htdocs/user/below/.htaccess", $case->{inner} // '');
    write_text("$dir/htdocs/trusted/.htaccess", $case->{text});
    my $path = $case->{path} // '/user/x.py';
    my $trusted = $server->get('/trusted/x.py')->{body} eq 'it ran';
    my $a = $server->get($path);
    isnt($a->{body}, 'it ran', 'is not run');
    ok($trusted, 'and is run with WSGIAllowOverride On') if !$case->{never};
    ok(!$trusted, 'httpd itself does not take it') if $case->{never};
    if ($trusted) {
        is($a->{status}, 403, 'status');
        ok((grep { /PW0316 .*x\.py.*Mend/ && /\Q$path\E/ }
            $server->lines(qr/PW0316/)), 'the log says why');
        unlike($a->{body}, qr/SECRET/, 'the source is not shown');
    }
}, @ways);
announce(qr/AH00526|AH01599|AH01374|Line too long|Invalid command/);
unlink "$dir/htdocs/user/.htaccess", "$dir/htdocs/user/below/.htaccess";

# The handler stands in the configuration.
my @beside = (
    { name => 'nothing', text => '', runs => 1 },
    { name => 'comments', text => "# SetHandler wsgi-script\n\n", runs => 1 },
    { name => 'access', text => "Require all granted\n<RequireAny>\n"
        . "Require ip 127.0.0.1\n</RequireAny>\n", runs => 1 },
    { name => 'rewriting', text => "RewriteEngine On\nRewriteBase /conf\n"
        . "RewriteCond %{REQUEST_URI} nowhere\nRewriteRule ^y\$ x.py [L,QSA]\n",
      runs => 1 },
    { name => 'headers and variables', text => "Header set X-A b\nSetEnv A b\n"
        . "<IfModule mod_deflate.c>\nErrorDocument 404 /conf/page.html\n</IfModule>\n",
      runs => 1 },
    { name => 'our own', text => "WSGICallableObject application\n", runs => 1 },
    { name => 'another handler for other files', text =>
        "AddHandler server-parsed .html\n", runs => 0 },
    { name => 'a flag that sets a handler', text =>
        "RewriteEngine On\nRewriteRule ^y - [H=wsgi-script]\n", runs => 0 },
);
cases(sub {
    my ($case) = @_;
    write_text("$dir/htdocs/conf/.htaccess", $case->{text});
    my $a = $server->get('/conf/x.py');
    is($a->{status}, $case->{runs} ? 200 : 403, 'status');
    is($server->get('/conf/page.html')->{status}, 200, 'other files are served');
}, @beside);
$server->stop;
finish();
