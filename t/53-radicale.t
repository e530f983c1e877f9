# SPDX-License-Identifier: Apache-2.0
# Radicale, in an interpreter of its own: a calendar over CalDAV, with httpd's
# authentication. The configuration is that of docs/radicale.md.
use PWTest;
use PWTest::Server;

plan skip_all => 'no Radicale for this Python (package radicale)' if !imports('radicale', 'vobject');

my $s = PWTest::Server->new(name => 'radicale', conf => '');
my $dir = $s->{dir};
$s->{conf} = PWTest::Server::page_conf('radicale.md', '/srv/radicale' => $dir,
    'cal.example.org' => 'main.test');
write_text("$dir/config", read_text("$ENV{PW_T_SRC}/docs/radicale.md")
    =~ s/.*```ini\n(.*?)```.*/$1/sr =~ s{/srv/radicale}{$dir}gr);
mkdir "$dir/collections" or die $!;
chmod 0777, "$dir/collections";
write_text("$dir/users", join '', map { "$_:" . crypt('secret', 'ab') . "\n" } qw(somebody other));
announce(qr/PW0501/, qr/AH01617|AH01618/);
ok($s->start, 'started');

sub dav {
    my ($method, $path, %o) = @_;
    require MIME::Base64;
    return $s->get($path, method => $method, headers => [ Authorization => 'Basic '
        . MIME::Base64::encode_base64(($o{user} || 'somebody') . ':secret', ''),
        @{ $o{headers} || [] } ], defined $o{body} ? (body => $o{body}) : ());
}
my $event = join "\r\n", 'BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:test', 'BEGIN:VEVENT',
    'UID:one', 'DTSTAMP:20261101T100000Z', 'DTSTART:20261124T100000Z',
    'DTEND:20261124T110000Z', 'SUMMARY:Of the test', 'END:VEVENT', 'END:VCALENDAR', '';

is($s->get('/somebody/')->{status}, 401, 'httpd asks for a password');
my $made = dav(MKCALENDAR => '/somebody/cal/');
is($made->{status}, 201, 'a calendar is made') or diag(join "\n", $s->lines(qr/PW0[2-5]/));
is(dav(PUT => '/somebody/cal/one.ics', body => $event,
    headers => [ 'Content-Type' => 'text/calendar' ])->{status}, 201, 'an event is put');
like(dav(GET => '/somebody/cal/one.ics')->{body}, qr/SUMMARY:Of the test/, 'and got');
my $found = dav(PROPFIND => '/somebody/cal/', headers => [ Depth => 1 ],
    body => '<propfind xmlns="DAV:"><prop><getetag/></prop></propfind>');
is($found->{status}, 207, 'PROPFIND');
like($found->{body}, qr{/somebody/cal/one\.ics}, 'lists it');
my $report = dav(REPORT => '/somebody/cal/', headers => [ Depth => 1 ], body => <<'END');
<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">
 <D:prop><C:calendar-data/></D:prop><C:filter><C:comp-filter name="VCALENDAR"/></C:filter>
</C:calendar-query>
END
is($report->{status}, 207, 'REPORT');
like($report->{body}, qr/SUMMARY:Of the test/, 'gives its data');
cmp_ok(dav(GET => '/somebody/cal/one.ics', user => 'other')->{status}, '>=', 400,
    'another user does not see it');
is(dav(DELETE => '/somebody/cal/one.ics')->{status}, 200, 'it is deleted');
is(dav(GET => '/somebody/cal/one.ics')->{status}, 404, 'and gone');
ok(scalar $s->lines(qr/PW0200 .*loaded in \d+ ms/), 'it loaded by itself');
diag(($s->lines(qr/PW0200/))[0] =~ s/.*PW0200 //r);
$s->stop;
finish();
