import LoadSupport
import TailraceInputs

/// Syslog messages of one shape taken apart.
struct MessageStage: Stage {
    private static let messages = 20_000

    private static let shapes: [(name: String, title: String, message: String)] = [
        (
            "syslog-3164", "RFC 3164",
            "<134>Nov 21 20:00:00 web-1 nginx[4711]: 10.0.0.7 - - \"GET /index.html HTTP/1.1\" 200 512 \"-\" \"curl/8\""
        ),
        (
            "syslog-3164-iso", "RFC 3164, ISO time",
            "<134>2026-11-21T20:00:00.123456+01:00 web-1 nginx[4711]: 10.0.0.7 - - \"GET /index.html HTTP/1.1\" 200 512"
        ),
        (
            "syslog-5424", "RFC 5424",
            "<165>1 2026-11-21T20:00:00.123Z web-1.example.com nginx 4711 ID47 [x@1 a=\"3\" b=\"Application\"]"
                + " 10.0.0.7 - - \"GET /index.html HTTP/1.1\" 200 512"
        ),
        (
            "syslog-cisco", "Cisco",
            "<189>123: *Nov 21 20:00:00.123: %SYS-5-CONFIG_I: Configured from console by admin on vty0"
        ),
        (
            "syslog-other", "nothing known",
            "<30>system,info,account user admin logged in from 10.0.0.7 via ssh"
        ),
    ]

    static var kinds: [StageKind] {
        shapes.map { shape in
            StageKind(
                name: shape.name, title: "syslog parser, \(shape.title)", records: messages,
                bytes: messages * shape.message.utf8.count
            ) { _ in
                MessageStage(
                    message: Array(shape.message.utf8), parser: SyslogParser(zone: LocalZone("Europe/Berlin") ?? .utc))
            }
        }
    }

    let message: [UInt8]
    let parser: SyslogParser

    func pass() {
        message.withUnsafeBytes { bytes in
            var seen = 0
            for index in 0..<Self.messages {
                // The time of receipt changes, so that nothing can be taken out of the loop.
                let message = parser.parse(bytes, received: 1_795_291_200_000 + Int64(index & 1023))
                seen &+= Int(message.severity) &+ Int(message.text.start)
            }
            precondition(seen > 0)
        }
    }
}
