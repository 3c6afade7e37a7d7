internal import Transports

/// What is one object in JSON. Its members are declared once: they are written, read back and held against the manual by the
/// same table.
protocol JSONObject: Sendable {
    init()
    /// In the order in which they are written.
    static var members: [JSONMember<Self>] { get }
}

extension JSONObject {
    func write(to json: inout JSONText) {
        for member in Self.members { member.write(self, &json) }
    }

    /// What `json` lacks, or has in another form, stays as it is in an object that is made anew.
    init(_ json: JSONValue) {
        self.init()
        for member in Self.members {
            if let value = json[member.name] { member.read(value, &self) }
        }
    }
}

/// A member of an object: its name, and how it gets into JSON and back.
struct JSONMember<Object>: Sendable {
    typealias Path<Value> = any WritableKeyPath<Object, Value> & Sendable

    let name: String
    fileprivate let write: @Sendable (Object, inout JSONText) -> Void
    fileprivate let read: @Sendable (JSONValue, inout Object) -> Void

    static func text(_ name: String, _ path: Path<String>) -> Self {
        Self(name: name) {
            $1.field(name, $0[keyPath: path])
        } read: {
            if let text = $0.text { $1[keyPath: path] = text }
        }
    }

    /// null when there is none.
    static func text(_ name: String, _ path: Path<String?>) -> Self {
        Self(name: name) {
            $1.field(name, $0[keyPath: path])
        } read: {
            $1[keyPath: path] = $0.text
        }
    }

    static func texts(_ name: String, _ path: Path<[String]>) -> Self {
        Self(name: name) {
            $1.key(name)
            $1.array($0[keyPath: path]) { $0.value($1) }
        } read: {
            $1[keyPath: path] = $0.elements.compactMap(\.text)
        }
    }

    static func number<Number: FixedWidthInteger & SendableMetatype>(_ name: String, _ path: Path<Number>) -> Self {
        Self(name: name) {
            $1.field(name, $0[keyPath: path])
        } read: {
            if let number = Number($0) { $1[keyPath: path] = number }
        }
    }

    /// null when there is none.
    static func number<Number: FixedWidthInteger & SendableMetatype>(_ name: String, _ path: Path<Number?>) -> Self {
        Self(name: name) {
            $1.key(name)
            if let number = $0[keyPath: path] { $1.value(number) } else { $1.value(nil) }
        } read: {
            $1[keyPath: path] = Number($0)
        }
    }

    /// What follows from other members, for readers that do not want to reckon.
    static func derived<Number: BinaryInteger & SendableMetatype>(
        _ name: String, _ value: @escaping @Sendable (Object) -> Number
    ) -> Self {
        Self(name: name) {
            $1.field(name, value($0))
        } read: { _, _ in
        }
    }

    static func truth(_ name: String, _ path: Path<Bool>) -> Self {
        Self(name: name) {
            $1.field(name, $0[keyPath: path])
        } read: {
            if case .boolean(let truth) = $0 { $1[keyPath: path] = truth }
        }
    }

    /// Milliseconds since 1970, as a text of RFC 3339.
    static func time(_ name: String, _ path: Path<Int64>) -> Self {
        Self(name: name) {
            $1.field(name, Timestamp.text(milliseconds: $0[keyPath: path]))
        } read: {
            if let time = $0.text.flatMap(Timestamp.milliseconds) { $1[keyPath: path] = time }
        }
    }

    /// The same; null when there is none.
    static func time(_ name: String, _ path: Path<Int64?>) -> Self {
        Self(name: name) {
            $1.field(name, $0[keyPath: path].map { Timestamp.text(milliseconds: $0) })
        } read: {
            $1[keyPath: path] = $0.text.flatMap(Timestamp.milliseconds)
        }
    }

    static func object<Part: JSONObject>(_ name: String, _ path: Path<Part>) -> Self {
        Self(name: name) {
            $1.field(name, $0[keyPath: path].write)
        } read: {
            $1[keyPath: path] = Part($0)
        }
    }

    static func objects<Part: JSONObject>(_ name: String, _ path: Path<[Part]>) -> Self {
        Self(name: name) {
            $1.key(name)
            $1.array($0[keyPath: path]) { $0.object($1.write) }
        } read: {
            $1[keyPath: path] = $0.elements.map { Part($0) }
        }
    }
}

extension JSONValue {
    fileprivate var elements: [JSONValue] { if case .array(let elements) = self { elements } else { [] } }
}

extension FixedWidthInteger {
    fileprivate init?(_ json: JSONValue) {
        guard case .number(let text) = json else { return nil }
        self.init(text)
    }
}
