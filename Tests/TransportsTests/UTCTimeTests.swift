import Glibc
import TestSupport
import Testing

@testable import Transports

@Suite struct UTCTimeTests {
    @Test func knownTimesAreWrittenAndRead() {
        #expect(UTCTime.text(0) == "1970-01-01T00:00:00Z")
        #expect(UTCTime.text(951_782_399) == "2000-02-28T23:59:59Z")
        #expect(UTCTime.text(951_782_400) == "2000-02-29T00:00:00Z")
        #expect(UTCTime.text(-1) == "1969-12-31T23:59:59Z")
        #expect(UTCTime.text(.max) == "\(Int64.max)")
        #expect(UTCTime.httpDate("Sun, 06 Nov 1994 08:49:37 GMT") == 784_111_777)
        for bad in [
            "", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nix 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 25:49:37 GMT", "Sun, -6 Nov 1994 08:49:37 GMT",
        ] {
            #expect(UTCTime.httpDate(bad) == nil, "\(bad)")
        }
    }

    /// The C library's calendar is the judge.
    @Test func anyTimeIsTheSameInTheCLibrary() {
        for var generator in [SeededGenerator(seed: 5), .fresh("times")] {
            for _ in 0..<2000 {
                let seconds = Int64.random(in: -60_000_000_000...250_000_000_000, using: &generator)
                var time = time_t(seconds)
                var fields = tm()
                gmtime_r(&time, &fields)
                var buffer = [CChar](repeating: 0, count: 64)
                _ = strftime(&buffer, buffer.count, "%H:%M:%SZ", &fields)
                let clock = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
                let text = UTCTime.text(seconds)
                #expect(text.hasSuffix("T" + clock))
                let date = text.prefix { $0 != "T" }.split(separator: "-").compactMap { Int32($0) }
                #expect(date == [fields.tm_year + 1900, fields.tm_mon + 1, fields.tm_mday])
                guard seconds >= 0 else { continue }
                _ = strftime(&buffer, buffer.count, "%a, %d %b %Y %H:%M:%S GMT", &fields)
                let header = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
                #expect(UTCTime.httpDate(header) == seconds)
            }
        }
    }
}
