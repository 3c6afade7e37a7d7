import Testing

@testable import Pulsar
@testable import PulsarBroker

@Suite struct ProducerAdmissionTests {
    private func request(
        _ name: String, on connection: Int = 0, id: UInt64 = 0, epoch: UInt64 = 0,
        _ mode: ProducerAccessMode = .shared, topicEpoch: UInt64? = nil
    ) -> ProducerAdmission.Request {
        .init(
            key: .init(connection: connection, producerID: id), name: name, epoch: epoch, mode: mode,
            topicEpoch: topicEpoch)
    }

    private func error(_ answer: ProducerAdmission.Answer) -> ServerError? {
        if case .refused(let error, _) = answer { error } else { nil }
    }

    private let shared = ProducerAdmission.Answer.ready(topicEpoch: nil, fenced: [])

    @Test func aNameIsForOneProducer() {
        var topic = ProducerAdmission()
        #expect(topic.enter(request("a")) == shared)
        #expect(topic.enter(request("b", id: 1)) == shared)
        #expect(error(topic.enter(request("a", on: 1))) == .producerBusy)
        #expect(error(topic.enter(request("a", on: 1, epoch: 9))) == .producerBusy)
        // The same one again: only with a higher epoch.
        #expect(error(topic.enter(request("a"))) == .producerBusy)
        #expect(topic.enter(request("a", epoch: 1)) == shared)
        _ = topic.leave(.init(connection: 0, producerID: 0))
        #expect(topic.enter(request("a", on: 1)) == shared)
    }

    @Test func whoHasTheTopicForItselfKeepsOthersOut() {
        var topic = ProducerAdmission()
        #expect(topic.enter(request("a", .exclusive)) == .ready(topicEpoch: 0, fenced: []))
        #expect(error(topic.enter(request("b", on: 1))) == .producerBusy)
        #expect(error(topic.enter(request("c", on: 2, .exclusive))) == .producerFenced)
        #expect(topic.enter(request("d", on: 3, .waitForExclusive)) == .waiting)
        #expect(topic.enter(request("e", on: 4, .waitForExclusive)) == .waiting)
        // One who waits may go.
        #expect(topic.leave(.init(connection: 4, producerID: 0)) == nil)
        let next = topic.leave(.init(connection: 0, producerID: 0))
        #expect(next?.request.name == "d")
        #expect(next?.topicEpoch == 1)
        // The first one comes back with the epoch of its time.
        _ = topic.leave(.init(connection: 3, producerID: 0))
        #expect(error(topic.enter(request("a", on: 5, .exclusive, topicEpoch: 0))) == .producerFenced)
        #expect(topic.enter(request("d", on: 5, .exclusive, topicEpoch: 1)) == .ready(topicEpoch: 1, fenced: []))
    }

    @Test func sharedProducersKeepAnExclusiveOneOut() {
        var topic = ProducerAdmission()
        #expect(topic.enter(request("a")) == shared)
        #expect(error(topic.enter(request("b", on: 1, .exclusive))) == .producerFenced)
        #expect(topic.enter(request("c", on: 2, .waitForExclusive)) == .waiting)
        #expect(topic.leave(.init(connection: 0, producerID: 0))?.request.name == "c")
    }

    @Test func fencingTakesTheTopicFromAllOthers() {
        var topic = ProducerAdmission()
        _ = topic.enter(request("a", .exclusive))
        _ = topic.enter(request("b", on: 1, .waitForExclusive))
        #expect(
            topic.enter(request("c", on: 2, .exclusiveWithFencing))
                == .ready(
                    topicEpoch: 1,
                    fenced: [.init(connection: 0, producerID: 0), .init(connection: 1, producerID: 0)]))
        // Who was fenced leaves without a trace.
        #expect(topic.leave(.init(connection: 0, producerID: 0)) == nil)
        #expect(error(topic.enter(request("a", on: 3, .exclusiveWithFencing, topicEpoch: 0))) == .producerFenced)
    }
}
