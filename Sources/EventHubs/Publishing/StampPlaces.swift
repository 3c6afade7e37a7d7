/// Where the three values of idempotent publishing lie in an event's bytes, behind their constructors.
struct StampPlaces: Hashable, Sendable {
    /// Of the eight, two and four bytes.
    private(set) var producerID: Int
    private(set) var epoch: Int
    private(set) var number: Int

    /// Nil: the event has no room for them, or not in encodings of fixed width.
    init?(in event: UnsafeRawBufferPointer) {
        guard let found = EventAnnotations(in: event) else { return nil }
        self.init(found, in: event)
    }

    init?(_ found: EventAnnotations, in event: UnsafeRawBufferPointer) {
        guard let id = found.producerID, let epoch = found.epoch, let number = found.number,
            event[id] == EventAnnotations.longCode, event[epoch] == EventAnnotations.shortCode,
            event[number] == EventAnnotations.intCode
        else { return nil }
        producerID = id + 1
        self.epoch = epoch + 1
        self.number = number + 1
    }

    /// Writes the stamp's producer and its first number into the event that begins at `event`.
    @inline(__always)
    func write(_ stamp: PublishingStamp, into event: UnsafeMutableRawPointer) {
        event.storeBytes(of: stamp.producerGroupID.bigEndian, toByteOffset: producerID, as: Int64.self)
        event.storeBytes(of: stamp.ownerLevel.bigEndian, toByteOffset: epoch, as: Int16.self)
        event.storeBytes(of: stamp.firstNumber.bigEndian, toByteOffset: number, as: Int32.self)
    }
}
