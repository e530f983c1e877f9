# SPDX-License-Identifier: Apache-2.0
# Django's admin on a virtual host of its own, beside Flask: log in, create
# users from several clients at once, search, static files.
use PWTest;

my $var   = "$ENV{PW_T_DIR}/var";
my $users = 5;
my @host  = (host => 'django.test');
alarm 400;

subtest 'set up the site' => sub {
    mkdir "$var/django" if !-d "$var/django";
    chmod 0777, "$var/django";
    local $ENV{PW_VAR} = $var;
    local $ENV{DJANGO_SETTINGS_MODULE} = 'shop.settings';
    # The module polywsgi exists in httpd only.
    local $ENV{PYTHONPATH} = "$ENV{PW_T_DIR}/apps/django";
    local $ENV{DJANGO_SUPERUSER_PASSWORD} = 'lovelace';
    my $django = "$ENV{PW_T_VENVS}/web/bin/python -m django";
    for my $command ('migrate -v 0', 'collectstatic -v 0 --no-input',
        'createsuperuser --no-input --username ada --email a@x.test') {
        # urls.py needs polywsgi: no checks.
        my $said = qx($django $command --skip-checks 2>&1);
        is($?, 0, $command) or diag($said);
    }
    chmod 0666, "$var/django/db.sqlite3";
};

my $i = get_json('/', @host);
is($i->{interpreter}, 'django', 'in its interpreter');
ok(!$i->{flask}, 'and nothing of Flask');

# A browser: cookies and the CSRF token of the last form.
sub browser { return { cookie => {} } }

sub visit {
    my ($b, $path, %form) = @_;
    my @o = (@host, path => $path);
    my @headers = (Cookie =>
        join '; ', map { "$_=$b->{cookie}{$_}" } sort keys %{ $b->{cookie} });
    if (%form) {
        $form{csrfmiddlewaretoken} //= $b->{token};
        my $body = join '&', map { "$_=" . escape($form{$_}) } sort keys %form;
        push @o, method => 'POST', body => $body;
        push @headers, 'Content-Type' => 'application/x-www-form-urlencoded';
    }
    my $a = request(@o, headers => \@headers);
    for my $h (@{ $a->{headers} }) {
        $b->{cookie}{$1} = $2
            if lc $h->[0] eq 'set-cookie' && $h->[1] =~ /^([^=]+)=([^;]*)/;
    }
    $b->{token} = $1 if $a->{body} =~ /csrfmiddlewaretoken" value="([^"]+)"/;
    return $a;
}

sub escape {
    my ($text) = @_;
    return $text =~ s/([^\w.-])/sprintf '%%%02X', ord $1/ger;
}

sub logged_in {
    my $b = browser();
    visit($b, '/admin/login/');
    my $a = visit($b, '/admin/login/?next=/admin/', username => 'ada',
        password => 'lovelace');
    return $a->{status} == 302 ? $b : undef;
}

subtest 'log in' => sub {
    my $b = browser();
    is(visit($b, '/admin/')->{status}, 302, 'strangers are sent to the form');
    is(visit($b, '/admin/login/')->{status}, 200, 'the form');
    is(visit(browser(), '/admin/login/', username => 'ada',
        password => 'lovelace', csrfmiddlewaretoken => 'x')->{status}, 403,
        'no log in without the CSRF token');
    is(visit($b, '/admin/login/', username => 'ada', password => 'wrong')
        ->{status}, 200, 'nor with a wrong password');
    my $in = logged_in();
    ok($in, 'with the right one') or return;
    like(visit($in, '/admin/')->{body}, qr/Site administration/, 'the admin');
};
announce(qr/Forbidden \(CSRF/);

subtest "$users users from $users clients at once" => sub {
    my @clients;
    for my $n (1 .. $users) {
        pipe my $from, my $to or die "pipe: $!";
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            alarm 120;
            my $said = eval { create($n) } // "died: $@";
            syswrite $to, $said;
            require POSIX;
            POSIX::_exit(0);
        }
        close $to;
        push @clients, { pid => $pid, from => $from };
    }
    for my $client (@clients) {
        my $said = readline $client->{from};
        waitpid $client->{pid}, 0;
        is($said, 'created', 'a user was created');
    }
};

sub create {
    my ($n) = @_;
    my $b = logged_in() or return 'not logged in';
    # Everyone is there before the first saves.
    visit($b, '/admin/auth/user/add/')->{status} == 200 or return 'no form';
    open my $ready, '>', "$var/ready.$n" or return "$!";
    close $ready;
    wait_for { (() = glob "$var/ready.*") >= $users } or return 'alone';
    my $a = visit($b, '/admin/auth/user/add/', username => "user$n",
        password1 => "A-g00d-one-$n", password2 => "A-g00d-one-$n",
        usable_password => 'true', _save => 'Save');
    return $a->{status} == 302 ? 'created' : "status $a->{status}: "
        . substr $a->{body}, 0, 300;
}

subtest 'search' => sub {
    my $b = logged_in() or return ok(0, 'logged in');
    my $a = visit($b, '/admin/auth/user/?q=user');
    my $found = () = $a->{body} =~ m{class="field-username"}g;
    is($found, $users, "$users users are found");
    $a = visit($b, '/admin/auth/user/?q=user3');
    $found = () = $a->{body} =~ m{class="field-username"}g;
    is($found, 1, 'or one of them');
    visit($b, '/admin/shop/product/add/');
    is(visit($b, '/admin/shop/product/add/', name => "Caf\xc3\xa9 <1>",
        _save => 'Save')->{status}, 302, 'a product');
    like(visit($b, '/admin/shop/product/?q=caf')->{body},
        qr/Caf\xc3\xa9 &lt;1&gt;/, 'is found, with its letters');
};

subtest 'static files' => sub {
    my $a = get('/static/admin/css/base.css', @host);
    is($a->{status}, 200, 'served by httpd');
    like($a->{h}{'content-type'}, qr{^text/css}, 'with their type');
    is(get('/static/admin/none.css', @host)->{status}, 404, 'or not found');
};

subtest 'both sites at once' => sub {
    my %pid;
    for my $host (qw(flask.test django.test)) {
        $pid{$host} = get_json('/', host => $host)->{pid};
    }
    is($pid{'flask.test'}, $pid{'django.test'}, 'in one process') if threaded();
    is(get('/missing', @host)->{status}, 404, 'Django answers its own 404');
    is(get('/admin/', host => 'flask.test')->{status}, 404, 'Flask its own');
};
announce(qr/PW0501.*Not Found/);

finish();
