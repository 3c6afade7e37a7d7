/// Payloads of plain values, for producers whose `PulsarSchema` is of that kind.
extension PulsarMessage {
    public init(boolean value: Bool) { self.init([value ? 1 : 0]) }
    public init(int8 value: Int8) { self.init(bytesOf: value) }
    public init(int16 value: Int16) { self.init(bytesOf: value) }
    public init(int32 value: Int32) { self.init(bytesOf: value) }
    public init(int64 value: Int64) { self.init(bytesOf: value) }
    public init(float value: Float) { self.init(bytesOf: value.bitPattern) }
    public init(double value: Double) { self.init(bytesOf: value.bitPattern) }

    private init(bytesOf value: some FixedWidthInteger) { self.init(withUnsafeBytes(of: value.bigEndian, Array.init)) }
}
