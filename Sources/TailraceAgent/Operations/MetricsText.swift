/// Writes Prometheus' text format, version 0.0.4.
struct MetricsText {
    enum Kind: String {
        case counter
        case gauge
    }

    /// A sample's number; integers exactly.
    enum Value: ExpressibleByIntegerLiteral {
        case count(UInt64)
        case signed(Int64)
        /// Written in seconds.
        case milliseconds(Int64)

        init(integerLiteral value: UInt64) { self = .count(value) }
        init(_ isTrue: Bool) { self = isTrue ? 1 : 0 }
        init(_ count: Int) { self = .signed(Int64(count)) }

        fileprivate var text: String {
            switch self {
            case .count(let number): return "\(number)"
            case .signed(let number): return "\(number)"
            case .milliseconds(let number):
                let fraction = "\(abs(number) % 1000 + 1000)".dropFirst()
                return "\(number < 0 ? "-" : "")\(abs(number) / 1000).\(fraction)"
            }
        }
    }

    typealias Sample = (labels: [(String, String)], value: Value)

    private(set) var bytes: [UInt8] = []

    /// - Parameters:
    ///   - kind: A counter's name ends in `_total`. Names end in their unit before that.
    ///   - help: One line.
    mutating func family(_ name: String, _ kind: Kind, _ help: String, _ samples: [Sample]) {
        guard !samples.isEmpty else { return }
        append("# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n")
        for sample in samples {
            append(name)
            if !sample.labels.isEmpty {
                append("{")
                for (index, label) in sample.labels.enumerated() {
                    append("\(index > 0 ? "," : "")\(label.0)=\"")
                    appendEscaped(label.1)
                    append("\"")
                }
                append("}")
            }
            append(" \(sample.value.text)\n")
        }
    }

    /// One without labels.
    mutating func family(_ name: String, _ kind: Kind, _ help: String, _ value: Value) {
        family(name, kind, help, [([], value)])
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func appendEscaped(_ text: String) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"), UInt8(ascii: "\""):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case UInt8(ascii: "\n"): append("\\n")
            default: bytes.append(byte)
            }
        }
    }
}
