import Glibc
import TestSupport
import Testing

@testable import TailraceAgent

/// What `tailrace check` says of places to listen at.
@Suite struct SyslogCheckTests {
    private func report(_ listen: String) throws -> String {
        let text = """
            [input.net]
            type = "syslog"
            listen = ["\(listen)"]
            receive_buffer = "64KiB"
            \(ConfigurationTests.outputLines)
            """
        return ConfigurationReport.text(try ConfigurationLoader.parse(Array(text.utf8), file: "t.toml"))
    }

    @Test func aFreePlaceIsFreeAndATakenOneSaysWhatToDo() throws {
        let port = try LocalPort.free()
        #expect(try report("udp://127.0.0.1:\(port)").contains("udp://127.0.0.1:\(port): free"))
        #expect(try report("tcp://127.0.0.1:\(port)").contains("tcp://127.0.0.1:\(port): free"))
        let holder = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(holder) }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = in_port_t(port).bigEndian
        inet_pton(AF_INET, "127.0.0.1", &name.sin_addr)
        let bound = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(holder, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        #expect(bound == 0)
        #expect(try report("udp://127.0.0.1:\(port)").contains("something else listens there"))
        #expect(try report("unix:///nonexistent/log").contains("make the directory"))
        #expect(try report("systemd:syslog").contains("systemd passed no socket named"))
    }
}
