import TailraceSpool
import TestSupport
import Testing

@testable import TailraceInputs

/// What becomes of an entry's fields.
@Suite struct JournalRecordTests {
    private func attributes(
        _ fields: [(String, [UInt8])], _ kind: JournalConfiguration.Fields = .standard, isWhole: Bool = true
    ) -> [String: String] {
        var export = JournalExport()
        export.begin(1)
        for (name, value) in fields { export.add(name, value) }
        export.end()
        var parser = JournalExportParser()
        let entry = JournalEntry(maximumMessage: 100)
        _ = export.bytes.withUnsafeBytes { parser.parse($0, into: entry) }
        var record = JournalRecord(kind)
        record.encode(entry, sequence: nil, isWhole: isWhole)
        #expect(record.attributes.count <= JournalRecord.maximumAttributes)
        return attributeTexts(record.attributes)
    }

    private func texts(_ fields: KeyValuePairs<String, String>) -> [(String, [UInt8])] {
        fields.map { ($0.key, Array($0.value.utf8)) }
    }

    @Test func theUsualFieldsBecomeProperties() {
        let found = attributes(
            texts([
                "MESSAGE": "m", "PRIORITY": "3", "SYSLOG_FACILITY": "10", "_SYSTEMD_UNIT": "ssh.service",
                "_PID": "4711", "SYSLOG_PID": "1", "SYSLOG_IDENTIFIER": "sshd", "_COMM": "sshd-session", "_UID": "0",
            ]))
        #expect(
            found == [
                "severity": "3", "facility": "10", "unit": "ssh.service", "pid": "4711", "app": "sshd",
                "event_time": "1700000000000",
            ])
    }

    @Test func theNextBestFieldStandsIn() {
        let found = attributes(
            texts([
                "MESSAGE": "m", "_SYSTEMD_UNIT": "user@1000.service", "_SYSTEMD_USER_UNIT": "editor.service",
                "SYSLOG_PID": "12", "_COMM": "editor",
            ]))
        #expect(found == ["unit": "editor.service", "pid": "12", "app": "editor", "event_time": "1700000000000"])
    }

    @Test func wrongNumbersAreLeftOutAndTold() {
        let found = attributes(
            texts(["MESSAGE": "m", "PRIORITY": "urgent", "SYSLOG_FACILITY": "24", "_PID": "99999999999999999999999"]))
        #expect(
            found == [
                "event_time": "1700000000000",
                "parse_error": "PRIORITY is no number from 0 to 7; SYSLOG_FACILITY is no number from 0 to 23",
            ])
    }

    @Test func anEntryWithoutAMessageSaysItsFields() {
        let found = attributes(texts(["_UID": "0", "CODE_FILE": "x.c"]))
        #expect(found["parse_error"] == "no MESSAGE")
        #expect(found["_UID"] == "0" && found["CODE_FILE"] == "x.c")
    }

    @Test func anEntryThatWasNotReadToItsEndSaysSo() {
        #expect(
            attributes(texts(["MESSAGE": "m"]), isWhole: false)["parse_error"]
                == "journald could not read all of the entry")
    }

    @Test func aCutMessageTellsItsLength() {
        #expect(attributes([("MESSAGE", [UInt8](repeating: 0x61, count: 101))])["truncated"] == "101")
        #expect(attributes([("MESSAGE", [UInt8](repeating: 0x61, count: 100))])["truncated"] == nil)
    }

    @Test func allFieldsGoAlongWhenAskedFor() {
        let found = attributes(
            [
                ("MESSAGE", Array("m".utf8)), ("TAG", Array("a".utf8)), ("TAG", Array("b".utf8)),
                ("NAME", Array("é\nü".utf8)), ("BLOB", [0xFF]), ("BLOB", [0xFE, 0xFD]), ("BLOB", [1, 2, 3, 0x80]),
                ("_HOSTNAME", Array("h".utf8)), ("_SYSTEMD_UNIT", Array("u".utf8)),
            ], .all)
        #expect(
            found == [
                "TAG": "a", "TAG.2": "b", "NAME": "é\nü", "BLOB.base64": "/w==", "BLOB.2.base64": "/v0=",
                "BLOB.3.base64": "AQIDgA==", "unit": "u", "_SYSTEMD_UNIT": "u", "event_time": "1700000000000",
                "_BOOT_ID": JournalExport.boot,
            ])
    }

    @Test func tooManyFieldsAreCutAndTold() throws {
        var fields = texts(["MESSAGE": "m"])
        fields.append(("LONG", Array(String(repeating: "é", count: 5000).utf8)))
        for number in 0..<100 { fields.append(("F\(number)", [UInt8](repeating: 0x61, count: 1000))) }
        let found = attributes(fields, .all)
        let problem = try #require(found["parse_error"])
        #expect(problem.hasPrefix("fields left out: ") && problem.hasSuffix("; fields cut: 1"), "\(problem)")
        #expect(found["LONG"]?.utf8.count == JournalEntry.maximumValue)
    }

    @Test(arguments: [21, 22, nil] as [UInt64?])
    func attributesOfAnyEntryCanBeRead(seed: UInt64?) {
        var generator = seed.map { SeededGenerator(seed: $0) } ?? .fresh("journal attributes")
        let names = ["PRIORITY", "MESSAGE", "_PID", "_SYSTEMD_UNIT", "X", "YY", "SYSLOG_IDENTIFIER", "_HOSTNAME"]
        for _ in 0..<60 {
            let fields = (0..<Int.random(in: 0...60, using: &generator)).map { _ in
                let length = Int.random(
                    in: 0...[3, 40, 9000][Int.random(in: 0...2, using: &generator)], using: &generator)
                return (
                    names[Int.random(in: 0..<names.count, using: &generator)],
                    (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
                )
            }
            _ = attributes(fields, .all, isWhole: Bool.random(using: &generator))
        }
    }

    @Test func journaldsOwnNoticesTellWhatItLost() {
        func lost(_ fields: KeyValuePairs<String, String>) -> UInt64? {
            var export = JournalExport()
            export.begin(1)
            for (name, value) in fields { export.add(name, value) }
            export.end()
            var parser = JournalExportParser()
            let entry = JournalEntry(maximumMessage: 100)
            _ = export.bytes.withUnsafeBytes { parser.parse($0, into: entry) }
            return JournalNotice.lostMessages(entry)
        }
        let suppressed = "a596d6fe7bfa4994828e72309e95d61e", missed = "e9bf28e6e834481bb6f48f548ad13606"
        #expect(
            lost([
                "_TRANSPORT": "driver", "MESSAGE_ID": suppressed, "N_DROPPED": "31",
                "MESSAGE": "Suppressed 31 messages from x.service",
            ]) == 31)
        #expect(
            lost(["_TRANSPORT": "driver", "MESSAGE_ID": suppressed, "MESSAGE": "Suppressed 12 messages from 7.service"])
                == 12)
        #expect(
            lost(["_TRANSPORT": "driver", "MESSAGE_ID": missed, "MESSAGE": "Missed 5 kernel messages"]) == 5)
        #expect(lost(["_TRANSPORT": "driver", "MESSAGE_ID": suppressed, "MESSAGE": "Suppressed some"]) == nil)
        // Anybody can say so.
        #expect(lost(["_TRANSPORT": "journal", "MESSAGE_ID": suppressed, "MESSAGE": "Suppressed 12 messages"]) == nil)
    }
}

/// Attributes as texts, by key.
func attributeTexts(_ bytes: [UInt8]) -> [String: String] {
    var found: [String: String] = [:]
    let isWhole = bytes.withUnsafeBytes {
        RecordAttributes.forEach(in: $0) { key, value in
            let key = String(decoding: key, as: UTF8.self)
            #expect(found[key] == nil, "\(key) twice")
            switch value {
            case .integer(let number): found[key] = "\(number)"
            case .string(let text): found[key] = String(decoding: text, as: UTF8.self)
            }
        }
    }
    #expect(isWhole)
    return found
}
