import LoadSupport
import Measurements
import TailraceInputs
import TailraceSpool

/// Batches of a web server's lines through the rules that an input may have: lines per second of one core.
struct Filters {
    private static let block = 1 << 20
    /// Every one of them is redactable; one in ten is a health check, one in a hundred an error.
    private static func line(_ number: Int) -> String {
        let path = number % 10 == 0 ? "/health" : "/shop/cart?item=\(number)&password=geheim\(number % 1000)"
        return "10.0.\(number % 256).7 - - [21/Nov/2026:20:00:00 +0000] \"GET \(path) HTTP/1.1\" "
            + (number % 100 == 0 ? "500" : "200")
            + " 512 \"https://shop.example.com/\" \"Mozilla/5.0 (X11; Linux x86_64)\""
    }

    private struct Case {
        var name: String
        var rules: RecordFilterRules
    }

    private static func cases() throws -> [Case] {
        func rules(_ change: (inout RecordFilterRules) throws -> Void) rethrows -> RecordFilterRules {
            var rules = RecordFilterRules()
            try change(&rules)
            return rules
        }
        func redaction(_ pattern: String, _ replacement: String) throws -> RedactionRule {
            let pattern = try Pattern(pattern)
            guard let replacement = Replacement(replacement, groups: pattern.groups) else {
                throw Failure("a replacement that names no group")
            }
            return RedactionRule(pattern, replacement)
        }
        return [
            Case(name: "keep, a word in each line", rules: try rules { $0.keep = [try Pattern("HTTP/1")] }),
            Case(name: "keep, a word in one of 100", rules: try rules { $0.keep = [try Pattern("\" 500 ")] }),
            Case(name: "drop, a word in one of 10", rules: try rules { $0.drop = [try Pattern("GET /health")] }),
            Case(
                name: "drop, three alternatives at a line's start",
                rules: try rules { $0.drop = [try Pattern("^(?:192\\.168|172\\.16|127)\\.")] }),
            Case(
                name: "redact, in nine of 10",
                rules: try rules { $0.redact = [try redaction("(password=)[^& ]+", "$1***")] }),
            Case(
                name: "redact, longer than it was",
                rules: try rules { $0.redact = [try redaction("password=[^& ]+", "password=[it was taken out here]")] }),
            Case(
                name: "redact, in none",
                rules: try rules { $0.redact = [try redaction("(token=)[^& ]+", "$1***")] }),
            Case(name: "sample, one of 10", rules: rules { $0.sample = 0.1 }),
            Case(
                name: "drop, sample and redact",
                rules: try rules {
                    $0.drop = [try Pattern("GET /health")]
                    $0.sample = 0.5
                    $0.redact = [try redaction("(password=)[^& ]+", "$1***")]
                }),
        ]
    }

    /// - Parameter lines: of each round.
    static func run(lines: Int, rounds: Int) throws {
        var template: [UInt8] = []
        var entries: [RecordEntry] = []
        while template.count < block - 4096 {
            let text = Array(line(entries.count).utf8)
            entries.append(RecordEntry(start: UInt32(template.count), length: UInt32(text.count)))
            template.append(contentsOf: text)
        }
        var results = Results(
            "filters, \(template.count / entries.count)-byte lines, for each second of a processor")
        let batch = RecordBatch(capacity: block)
        for entry in try cases() {
            var rates: [Double] = []
            var counts = RecordFilterCounts()
            for _ in 0..<rounds {
                let filter = RecordFilter(entry.rules, name: "load")
                var time = 0.0
                var done = 0
                while done < lines {
                    _ = template.withUnsafeBytes { batch.copyIn($0) }
                    for entry in entries { batch.append(entry) }
                    let begin = ProcessorTime.seconds()
                    filter.apply(to: batch)
                    time += ProcessorTime.seconds() - begin
                    batch.recycle()
                    done += entries.count
                }
                rates.append(Double(done) / time / 1e6)
                counts = filter.counts
            }
            results.add(entry.name, "M records/s", rates)
            guard counts.undecided == 0, counts.notRedactable == 0 else { throw Failure("patterns gave up") }
        }
        results.tell()
    }
}
