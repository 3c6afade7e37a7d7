// How fast syslog messages are taken apart: `syslog-load parse [--lines N] [--rounds N]`.
//
// Prints lines per second and core, the median of the rounds with least and most, for each shape of message.
import Glibc
import LoadSupport
import TailraceInputs

@main
struct SyslogLoad {
    static let shapes: [(name: String, message: String)] = [
        (
            "RFC 3164",
            "<134>Nov 21 20:00:00 web-1 nginx[4711]: 10.0.0.7 - - \"GET /index.html HTTP/1.1\" 200 512 \"-\" \"curl/8\""
        ),
        (
            "RFC 3164, ISO time",
            "<134>2026-11-21T20:00:00.123456+01:00 web-1 nginx[4711]: 10.0.0.7 - - \"GET /index.html HTTP/1.1\" 200 512"
        ),
        (
            "RFC 5424",
            "<165>1 2026-11-21T20:00:00.123Z web-1.example.com nginx 4711 ID47 [x@1 a=\"3\" b=\"Application\"]"
                + " 10.0.0.7 - - \"GET /index.html HTTP/1.1\" 200 512"
        ),
        ("Cisco", "<189>123: *Nov 21 20:00:00.123: %SYS-5-CONFIG_I: Configured from console by admin on vty0"),
        ("nothing known", "<30>system,info,account user admin logged in from 10.0.0.7 via ssh"),
    ]

    static func main() {
        guard let arguments = Arguments(CommandLine.arguments), arguments.mode == "parse" else {
            complain("usage: syslog-load parse [--lines N] [--rounds N]")
            exit(2)
        }
        let lines = arguments.number("lines", 2_000_000)
        let rounds = max(1, arguments.number("rounds", 5))
        let parser = SyslogParser(zone: LocalZone("Europe/Berlin") ?? .utc)
        for shape in shapes {
            let bytes = Array(shape.message.utf8)
            report(shape.name, "thousand lines/s", (0..<rounds).map { _ in rate(lines, bytes, parser) / 1000 })
        }
    }

    private static func rate(_ lines: Int, _ bytes: [UInt8], _ parser: SyslogParser) -> Double {
        bytes.withUnsafeBytes { bytes in
            var seen = 0
            let begin = ProcessorTime.seconds()
            for line in 0..<lines {
                // The time of receipt changes, so that nothing can be taken out of the loop.
                let message = parser.parse(bytes, received: 1_795_291_200_000 + Int64(line & 1023))
                seen &+= Int(message.severity) &+ Int(message.text.start)
            }
            let time = ProcessorTime.seconds() - begin
            precondition(seen > 0)
            return Double(lines) / time
        }
    }
}
