import TestSupport
import Testing

@testable import TailraceInputs

@Suite struct SyslogParserTests {
    struct Sample: Sendable, CustomTestStringConvertible {
        let name: String
        let message: String
        let expected: ParsedSyslog

        init(
            _ name: String, _ message: String, _ facility: UInt8, _ severity: UInt8, time: String? = nil,
            host: String = "", app: String = "", pid: String = "", id: String = "", data: String = "", text: String,
            problem: SyslogMessage.Problem? = nil
        ) {
            self.name = name
            self.message = message
            expected = ParsedSyslog(
                facility: facility, severity: severity, time: time, host: host, app: app, pid: pid, messageID: id,
                data: data, text: text, problem: problem)
        }

        var testDescription: String { name }
    }

    /// What devices and programs send; 2024-03-15T12:00:00Z is now, UTC the zone.
    static let samples = [
        Sample(
            "RFC 3164", "<34>Mar 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8", 4, 2,
            time: "2024-03-11T22:14:15.000", host: "mymachine", app: "su",
            text: "'su root' failed for lonvick on /dev/pts/8"),
        Sample(
            "a day of one digit, padded and not", "<13>Mar  1 01:02:03 h a[1]: t", 1, 5,
            time: "2024-03-01T01:02:03.000", host: "h", app: "a", pid: "1", text: "t"),
        Sample(
            "a day of one digit, not padded", "<13>Mar 1 01:02:03 h a: t", 1, 5, time: "2024-03-01T01:02:03.000",
            host: "h", app: "a", text: "t"),
        Sample(
            "busybox, and glibc's syslog(3): no host", "<13>Mar 10 10:00:00 root: hello", 1, 5,
            time: "2024-03-10T10:00:00.000", app: "root", text: "hello"),
        Sample(
            "journald's forwarding", "<30>Mar 10 10:00:00 systemd[1]: Started x.service.", 3, 6,
            time: "2024-03-10T10:00:00.000", app: "systemd", pid: "1", text: "Started x.service."),
        Sample(
            "rsyslog's forward format",
            "<13>2024-03-10T10:00:00.123456+01:00 web-1.example.com nginx[77]: GET /", 1, 5,
            time: "2024-03-10T09:00:00.123", host: "web-1.example.com", app: "nginx", pid: "77", text: "GET /"),
        Sample(
            "Cisco IOS with a sequence number", "<189>123: *Mar 10 10:00:00.123: %SYS-5-CONFIG_I: Configured", 23, 5,
            time: "2024-03-10T10:00:00.123", app: "%SYS-5-CONFIG_I", text: "Configured"),
        Sample(
            "Cisco IOS with number, name, year and zone",
            "<189>45: router1: Mar 10 2024 10:00:00.5 UTC: %LINK-3-UPDOWN: Interface up", 23, 5,
            time: "2024-03-10T10:00:00.500", host: "router1", app: "%LINK-3-UPDOWN", text: "Interface up"),
        Sample(
            "Cisco IOS behind a relay", "<189>Mar 10 10:00:01 10.0.0.1 123: Mar 10 10:00:00: %SYS-5-X: t", 23, 5,
            time: "2024-03-10T10:00:01.000", host: "10.0.0.1", app: "%SYS-5-X", text: "t"),
        Sample(
            "Cisco ASA", "<166>Mar 10 2024 10:00:00 fw1 : %ASA-6-302013: Built inbound", 20, 6,
            time: "2024-03-10T10:00:00.000", host: "fw1", app: "%ASA-6-302013", text: "Built inbound"),
        Sample(
            "Cisco ASA without host", "<166>Mar 10 2024 10:00:00: %ASA-6-302013: Built", 20, 6,
            time: "2024-03-10T10:00:00.000", app: "%ASA-6-302013", text: "Built"),
        Sample(
            "Cisco ASA in its newest shape", "<166>:Mar 10 10:00:00 UTC: %ASA-session-6-302013: Built", 20, 6,
            time: "2024-03-10T10:00:00.000", app: "%ASA-session-6-302013", text: "Built"),
        Sample(
            "Palo Alto", "<14>Mar 10 10:00:00 PA-220 1,2024/03/10 10:00:00,0123,TRAFFIC,end", 1, 6,
            time: "2024-03-10T10:00:00.000", host: "PA-220", text: "1,2024/03/10 10:00:00,0123,TRAFFIC,end"),
        Sample(
            "UniFi", "<30>Mar 10 10:00:00 (\"U7PG2,788a20aabbcc,v4.0.80\") hostapd: wlan0: STA", 3, 6,
            time: "2024-03-10T10:00:00.000", app: "hostapd", text: "wlan0: STA"),
        Sample(
            "UniFi without brackets", "<30>Mar 10 10:00:00 U7PG2,788a20aabbcc,v4.0.80 hostapd: wlan0: STA", 3, 6,
            time: "2024-03-10T10:00:00.000", app: "hostapd", text: "wlan0: STA"),
        Sample(
            "UniFi with host and colon", "<30>Mar 10 10:00:00 ap U7PG2,788a20aabbcc,v4.0.80: hostapd: wlan0", 3, 6,
            time: "2024-03-10T10:00:00.000", host: "ap", app: "hostapd", text: "wlan0"),
        Sample(
            "FreeIPA's directory server",
            "<30>Mar 10 10:00:00 ipa.example.com ns-slapd[2134]: [10/Mar/2024:10:00:00.123 +0100] conn=12 op=0", 3, 6,
            time: "2024-03-10T10:00:00.000", host: "ipa.example.com", app: "ns-slapd", pid: "2134",
            text: "[10/Mar/2024:10:00:00.123 +0100] conn=12 op=0"),
        Sample(
            "FreeIPA's Kerberos", "<30>Mar 10 10:00:00 ipa krb5kdc[1234](info): AS_REQ", 3, 6,
            time: "2024-03-10T10:00:00.000", host: "ipa", app: "krb5kdc", pid: "1234", text: "(info): AS_REQ"),
        Sample(
            "ESXi", "<14>2024-03-10T10:00:00.123Z esx1.lab Hostd: info hostd[2101] [Originator@6876 sub=Vim]", 1, 6,
            time: "2024-03-10T10:00:00.123", host: "esx1.lab", app: "Hostd",
            text: "info hostd[2101] [Originator@6876 sub=Vim]"),
        Sample(
            "Fortinet: neither time nor host", "<189>date=2024-03-10 time=10:00:00 devname=\"FG\" logid=\"1\"", 23, 5,
            text: "date=2024-03-10 time=10:00:00 devname=\"FG\" logid=\"1\""),
        Sample(
            "MikroTik", "<30>system,info,account user admin logged in", 3, 6,
            text: "system,info,account user admin logged in"),
        Sample("no time, a program", "<34>su: 'su root' failed", 4, 2, app: "su", text: "'su root' failed"),
        Sample("no time: the first word is no host", "<13>myhost says hello", 1, 5, text: "myhost says hello"),
        Sample(
            "AIX", "<38>Mar 10 10:00:00 Message forwarded from aix1: sshd[12]: Accepted", 4, 6,
            time: "2024-03-10T10:00:00.000", host: "aix1", app: "sshd", pid: "12", text: "Accepted"),
        Sample(
            "a repetition", "<38>Mar 10 10:00:00 last message repeated 2 times", 4, 6,
            time: "2024-03-10T10:00:00.000", text: "last message repeated 2 times"),
        Sample(
            "a relay that doubles the host", "<38>Mar 10 10:00:00 web web sshd[12]: x", 4, 6,
            time: "2024-03-10T10:00:00.000", host: "web", app: "sshd", pid: "12", text: "x"),
        Sample(
            "an IPv6 address for a host", "<38>Mar 10 10:00:00 2001:db8::1 sshd: x", 4, 6,
            time: "2024-03-10T10:00:00.000", host: "2001:db8::1", app: "sshd", text: "x"),
        Sample(
            "a year behind the time", "<38>Mar 10 10:00:00 2019 host sshd: x", 4, 6,
            time: "2019-03-10T10:00:00.000", host: "host", app: "sshd", text: "x"),
        Sample(
            "Meraki", "<134>1 1710064800.123456789 MX84 events type=vpn", 16, 6, time: "2024-03-10T10:00:00.123",
            host: "MX84", text: "events type=vpn"),
        Sample(
            "Check Point's structured data", "<134>1 2024-03-10T10:00:00Z fw CheckPoint 1 - [action:\"Accept\"; x]", 16,
            6,
            time: "2024-03-10T10:00:00.000", host: "fw", app: "CheckPoint", pid: "1",
            text: "[action:\"Accept\"; x]", problem: .structuredData),
        Sample(
            "RFC 5424, first example",
            "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{FEFF}'su root' failed", 4, 2,
            time: "2003-10-11T22:14:15.003", host: "mymachine.example.com", app: "su", id: "ID47",
            text: "'su root' failed"),
        Sample(
            "RFC 5424, second example",
            "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.", 20,
            5,
            time: "2003-08-24T12:14:15.000", host: "192.0.2.1", app: "myproc", pid: "8710",
            text: "%% It's time to make the do-nuts."),
        Sample(
            "RFC 5424, third example",
            "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47"
                + " [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"] \u{FEFF}An application event",
            20, 5, time: "2003-10-11T22:14:15.003", host: "mymachine.example.com", app: "evntslog", id: "ID47",
            data: "[exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"]",
            text: "An application event"),
        Sample(
            "RFC 5424, fourth example",
            "<165>1 2003-10-11T22:14:15.003Z m e - ID47 [a@1 i=\"3\"][b@1 class=\"high\"]", 20, 5,
            time: "2003-10-11T22:14:15.003", host: "m", app: "e", id: "ID47", data: "[a@1 i=\"3\"][b@1 class=\"high\"]",
            text: ""),
        Sample("RFC 5424, nothing known", "<13>1 - - - - - -", 1, 5, text: ""),
        Sample(
            "RFC 5424, an id twice, escapes", "<13>1 - h - - - [a x=\"\\\"]\\\\\\]\"][a] \u{FEFF}\u{FEFF}t", 1, 5,
            host: "h", data: "[a x=\"\\\"]\\\\\\]\"][a]", text: "\u{FEFF}t"),
        Sample("RFC 5424 that ends early", "<13>1 - host", 1, 5, host: "host", text: "", problem: .header),
        Sample(
            "RFC 5424 with a time that cannot be", "<13>1 2024-02-30T10:00:00Z h a - - - t", 1, 5, host: "h", app: "a",
            text: "t", problem: .time),
        Sample("empty", "", 1, 5, text: "", problem: .empty),
        Sample("no priority", "hello world", 1, 5, text: "hello world", problem: .noPriority),
        Sample(
            "no priority, all else", "Mar 10 10:00:00 h a[1]: t", 1, 5, time: "2024-03-10T10:00:00.000", host: "h",
            app: "a", pid: "1", text: "t", problem: .noPriority),
        Sample("<999>", "<999>a: t", 1, 5, app: "a", text: "t", problem: .priority),
        Sample("<192>", "<192>a: t", 1, 5, app: "a", text: "t", problem: .priority),
        Sample("<191>", "<191>a: t", 23, 7, app: "a", text: "t"),
        Sample("<-1>", "<-1>a: t", 1, 5, app: "a", text: "t", problem: .priority),
        Sample("<>", "<>a: t", 1, 5, app: "a", text: "t", problem: .priority),
        Sample(
            "a priority that never ends", "<1234567890123456789012345 t", 1, 5, text: "<1234567890123456789012345 t",
            problem: .priority),
        Sample("only NULs", "\0\0\0\0", 1, 5, text: "\0\0\0\0", problem: .noPriority),
        Sample(
            "a time that cannot be", "<13>Feb 30 10:00:00 h a: t", 1, 5, host: "h", app: "a", text: "t",
            problem: .time),
    ]

    @Test(arguments: samples) func readsWhatIsSent(_ sample: Sample) {
        #expect(parse(sample.message) == sample.expected)
    }

    @Test func theYearIsTheOneWithinSixMonths() {
        let eve: Int64 = 1_704_067_199_000  // 2023-12-31T23:59:59Z
        #expect(parse("<13>Jan  1 00:00:05 h a: t", received: eve).time == "2024-01-01T00:00:05.000")
        #expect(parse("<13>Dec 31 23:59:00 h a: t", received: eve + 60_000).time == "2023-12-31T23:59:00.000")
        // A clock an hour fast, and one that is months behind.
        #expect(parse("<13>Mar 15 13:00:00 h a: t").time == "2024-03-15T13:00:00.000")
        #expect(parse("<13>Oct  1 00:00:00 h a: t").time == "2023-10-01T00:00:00.000")
        #expect(parse("<13>Feb 29 10:00:00 h a: t").time == "2024-02-29T10:00:00.000")
        // The year before had no such day, nor has the next.
        let later = march15 + 365 * 86_400_000
        let none = parse("<13>Feb 29 10:00:00 h a: t", received: later)
        #expect(none.time == nil && none.problem == .time && none.host == "h")
    }

    @Test func timesWithoutZoneAreThoseOfTheListener() throws {
        let berlin = try #require(LocalZone("Europe/Berlin"))
        #expect(parse("<13>Mar 15 10:00:00 h a: t", zone: berlin).time == "2024-03-15T09:00:00.000")
        #expect(parse("<13>Jul  1 10:00:00 h a: t", zone: berlin).time == "2024-07-01T08:00:00.000")
        #expect(parse("<13>2024-07-01T10:00:00 h a: t", zone: berlin).time == "2024-07-01T08:00:00.000")
        // What tells its zone keeps it.
        #expect(parse("<13>1 2024-07-01T10:00:00Z h a - - - t", zone: berlin).time == "2024-07-01T10:00:00.000")
        let india = try #require(LocalZone("+05:30"))
        #expect(parse("<13>Mar 15 10:00:00 h a: t", zone: india).time == "2024-03-15T04:30:00.000")
        #expect(LocalZone("Nowhere/Atlantis") == nil && LocalZone("../../etc/passwd") == nil && LocalZone("") == nil)
        #expect(LocalZone("local") != nil)
    }

    @Test func anHourThatClocksShowTwiceIsTheOneNearerToTheReceipt() throws {
        let berlin = try #require(LocalZone("Europe/Berlin"))
        let first: Int64 = 1_729_989_000_000  // 2024-10-27T00:30:00Z, 02:30 of summer
        #expect(parse("<13>Oct 27 02:30:00 h a: t", received: first, zone: berlin).time == "2024-10-27T00:30:00.000")
        let second = first + 3_600_000
        #expect(parse("<13>Oct 27 02:30:00 h a: t", received: second, zone: berlin).time == "2024-10-27T01:30:00.000")
        // An hour that is skipped: as if the clock had not been put forward.
        #expect(parse("<13>Mar 31 02:30:00 h a: t", zone: berlin).time == "2024-03-31T01:30:00.000")
    }

    @Test func civilTimesAgreeWithTheCLibrary() {
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<2000 {
            let milliseconds = Int64.random(in: -3_000_000_000_000...7_000_000_000_000, using: &generator)
            let text = instant(milliseconds)
            let year = Int(text.prefix(4))!
            guard year >= 1875, year < 2190 else { continue }
            #expect(parse("<13>1 \(text)Z h a - - - t").time == text)
            #expect(CivilTime.year(of: milliseconds / 1000 - (milliseconds % 1000 < 0 ? 1 : 0)) == year)
        }
    }

    @Test func structuredDataComeBackAsWritten() {
        for seed in [1, 2, 3, UInt64.random(in: 0..<(.max))] {
            print("structured data, seed \(seed)")
            var generator = SeededGenerator(seed: seed)
            let names = Array("abcXYZ019-_.@:/".utf8)
            for _ in 0..<300 {
                var written: [UInt8] = []
                var expected: [[String]] = []
                for _ in 0..<Int.random(in: 1...4, using: &generator) {
                    let id = (0..<Int.random(in: 1...8, using: &generator)).map { _ in
                        names.randomElement(using: &generator)!
                    }
                    written += [UInt8(ascii: "[")] + id
                    for _ in 0..<Int.random(in: 0...4, using: &generator) {
                        let name = (0..<3).map { _ in names.randomElement(using: &generator)! }
                        let value = (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                            Array("ab \"\\]=[é\n".utf8).randomElement(using: &generator)!
                        }
                        written += [.space] + name + Array("=\"".utf8)
                        for byte in value {
                            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte == UInt8(ascii: "]") {
                                written.append(UInt8(ascii: "\\"))
                            }
                            written.append(byte)
                        }
                        written.append(UInt8(ascii: "\""))
                        expected.append([id, name, value].map { String(decoding: $0, as: UTF8.self) })
                    }
                    written.append(UInt8(ascii: "]"))
                }
                var found: [[String]] = []
                let isWhole = written.withUnsafeBytes {
                    StructuredData.forEach(in: $0) { found.append([$0, $1, String(decoding: $2, as: UTF8.self)]) }
                }
                #expect(isWhole && found == expected)
                let message = Array("<13>1 - h a - - ".utf8) + written + Array(" text".utf8)
                #expect(Array(parse(message).data.utf8).count >= written.count)
                #expect(parse(message).text == "text" && parse(message).problem == nil)
            }
        }
    }

    /// Whatever the bytes: no trap, every part lies within, and nothing of the message is changed by reading it.
    @Test func anyBytesGiveAMessage() {
        for seed in [7, 8, UInt64.random(in: 0..<(.max))] {
            print("syslog parser, seed \(seed)")
            var generator = SeededGenerator(seed: seed)
            let pieces = Self.samples.map { Array($0.message.utf8) }
            for _ in 0..<20_000 {
                var bytes: [UInt8] = pieces.randomElement(using: &generator)!
                for _ in 0..<Int.random(in: 0...4, using: &generator) {
                    switch Int.random(in: 0..<4, using: &generator) {
                    case 0 where !bytes.isEmpty:
                        let at = Int.random(in: 0..<bytes.count, using: &generator)
                        bytes[at] = UInt8.random(in: 0...255, using: &generator)
                    case 1 where !bytes.isEmpty:
                        bytes.removeSubrange(Int.random(in: 0..<bytes.count, using: &generator)...)
                    case 2:
                        let other = pieces.randomElement(using: &generator)!
                        bytes += other.suffix(Int.random(in: 0...other.count, using: &generator))
                    default:
                        let at = Int.random(in: 0...bytes.count, using: &generator)
                        bytes.insert(contentsOf: Array(" :[]<>\"1".utf8).shuffled(using: &generator).prefix(2), at: at)
                    }
                }
                bytes.withUnsafeBytes { bytes in
                    let message = SyslogParser().parse(bytes, received: march15)
                    for part in [
                        message.hostname, message.app, message.pid, message.messageID, message.structuredData,
                        message.text,
                    ] { #expect(Int(part.start) + Int(part.length) <= bytes.count) }
                    #expect(message.facility <= 23 && message.severity <= 7)
                    #expect(Int(message.text.start + message.text.length) == bytes.count || bytes.isEmpty)
                    StructuredData.forEach(in: bytes) { _, _, _ in }
                }
            }
        }
    }
}
