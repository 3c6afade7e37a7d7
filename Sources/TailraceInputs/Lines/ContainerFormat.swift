import Glibc

/// How a container's run-time wraps the lines of its containers.
package enum ContainerFormat: String, Sendable, CaseIterable {
    /// Docker's json-file: `{"log":"…\n","stream":"stdout","time":"…"}`.
    case dockerJSON = "docker-json"
    /// Of containerd and CRI-O: `TIME stdout F …`.
    case cri

    package enum Stream: UInt8, Sendable, CaseIterable {
        case stdout, stderr

        package var name: StaticString { self == .stdout ? "stdout" : "stderr" }
    }

    /// Why a line is not of the format; such a line goes along whole.
    package enum Problem: UInt8, Sendable {
        case notJSON = 1
        case noLog, noStream, notCRI, cut

        package var text: StaticString {
            switch self {
            case .notJSON: "not a JSON object of docker's json-file"
            case .noLog: "no string \"log\" in the JSON object"
            case .noStream: "no known stream"
            case .notCRI: "not a line of the CRI format"
            case .cut: "the line was cut before it was decoded"
            }
        }
    }

    package struct Line: Equatable, Sendable {
        /// Of the line's bytes, after they were decoded in place.
        package var body: Range<Int>
        package var stream: Stream
        /// Milliseconds since 1970; nil when there is no time that can be read.
        package var time: Int64?
        /// The container's line goes on in the next one of the same stream.
        package var isPartial: Bool
    }

    /// Decodes one line in place; when there is a problem, its bytes are as they were.
    package func decode(_ line: UnsafeMutableRawBufferPointer) -> Result<Line, Refusal> {
        switch self {
        case .dockerJSON: DockerLine.decode(line)
        case .cri: Self.decodeCRI(UnsafeRawBufferPointer(line))
        }
    }

    package struct Refusal: Error, Equatable {
        package var problem: Problem
        init(_ problem: Problem) { self.problem = problem }
    }

    private static func decodeCRI(_ line: UnsafeRawBufferPointer) -> Result<Line, Refusal> {
        func word(_ start: Int) -> Range<Int>? {
            guard start < line.count, let end = line[start...].firstIndex(of: UInt8(ascii: " ")) else { return nil }
            return start..<end
        }
        guard let time = word(0), let milliseconds = InternetTime.milliseconds(.init(rebasing: line[time])),
            let name = word(time.upperBound + 1)
        else { return .failure(Refusal(.notCRI)) }
        guard let stream = stream(.init(rebasing: line[name])) else { return .failure(Refusal(.noStream)) }
        // An empty line may end behind its tags.
        let tagStart = name.upperBound + 1
        guard tagStart < line.count else { return .failure(Refusal(.notCRI)) }
        let tags = word(tagStart) ?? tagStart..<line.count
        let isPartial = line[tags.lowerBound] == UInt8(ascii: "P")
        guard isPartial || line[tags.lowerBound] == UInt8(ascii: "F"),
            tags.count == 1 || line[tags.lowerBound + 1] == UInt8(ascii: ":")
        else { return .failure(Refusal(.notCRI)) }
        return .success(
            Line(
                body: min(tags.upperBound + 1, line.count)..<line.count, stream: stream, time: milliseconds,
                isPartial: isPartial))
    }

    static func stream(_ name: UnsafeRawBufferPointer) -> Stream? {
        Stream.allCases.first { stream in stream.name.withUTF8Buffer { name.elementsEqual($0) } }
    }
}

/// The time stamps of RFC 3339: `2026-11-21T20:59:59.123456789Z`, or with an offset such as `+01:00`.
package enum InternetTime {
    /// Milliseconds since 1970, UTC; nil when the bytes are no such stamp.
    package static func milliseconds(_ text: UnsafeRawBufferPointer) -> Int64? {
        var index = 0
        func number(_ digits: Int) -> Int64? {
            guard index + digits <= text.count else { return nil }
            var value: Int64 = 0
            for byte in text[index..<(index + digits)] {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
                value = value * 10 + Int64(byte - UInt8(ascii: "0"))
            }
            index += digits
            return value
        }
        func skip(_ byte: UInt8) -> Bool {
            guard index < text.count, text[index] == byte else { return false }
            index += 1
            return true
        }
        guard let year = number(4), skip(UInt8(ascii: "-")), let month = number(2), skip(UInt8(ascii: "-")),
            let day = number(2), skip(UInt8(ascii: "T")) || skip(UInt8(ascii: "t")), let hour = number(2),
            skip(UInt8(ascii: ":")), let minute = number(2), skip(UInt8(ascii: ":")), let second = number(2),
            (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 61
        else { return nil }
        var milliseconds: Int64 = 0
        if skip(UInt8(ascii: ".")) {
            var unit: Int64 = 100
            let start = index
            while index < text.count, let digit = number(1) {
                milliseconds += digit * unit
                unit /= 10
            }
            guard index > start else { return nil }
        }
        var offset: Int64 = 0
        if !skip(UInt8(ascii: "Z")), !skip(UInt8(ascii: "z")) {
            let isEast = skip(UInt8(ascii: "+"))
            guard isEast || skip(UInt8(ascii: "-")), let hours = number(2), skip(UInt8(ascii: ":")),
                let minutes = number(2), hours < 24, minutes < 60
            else { return nil }
            offset = (hours * 60 + minutes) * (isEast ? 60 : -60)
        }
        guard index == text.count else { return nil }
        // Days since 1970 of the proleptic Gregorian calendar, counted in years that begin in March.
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted % 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        return ((days * 24 + hour) * 60 + minute) * 60_000 + (second - offset) * 1000 + milliseconds
    }
}
