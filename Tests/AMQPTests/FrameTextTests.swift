import NIOCore
import Testing

@testable import AMQP

@Suite struct FrameTextTests {
    @Test func fieldsHaveTheNamesOfTheSpecification() {
        var transfer = Transfer(handle: 3)
        transfer.deliveryID = 17
        transfer.deliveryTag = ByteBuffer(bytes: [0, 0, 0, 0x2A])
        transfer.messageFormat = 0
        transfer.settled = false
        transfer.more = true
        #expect(
            FrameText(.transfer(transfer)).line
                == "transfer(handle=3, delivery-id=17, delivery-tag=0x0000002a, message-format=0, settled=false, more=true)"
        )
        var attach = Attach(name: "link", handle: 0, role: .sender)
        attach.source = Source(address: "here")
        attach.target = Target(address: "/hub/Partitions/0")
        attach.maxMessageSize = 1 << 20
        attach.properties[symbol: "com.microsoft:timeout"] = .uint(60_000)
        #expect(
            FrameText(.attach(attach)).line
                == "attach(name=link, handle=0, role=sender, snd-settle-mode=2, rcv-settle-mode=0, source=here,"
                + " target=/hub/Partitions/0, max-message-size=1048576, properties={com.microsoft:timeout: 60000})")
        var disposition = Disposition(role: .receiver, first: 1, last: 5)
        disposition.settled = true
        disposition.state = .rejected(AMQPError("com.microsoft:server-busy", "wait\nfour seconds"))
        #expect(
            FrameText(.disposition(disposition)).line
                == "disposition(role=receiver, first=1, last=5, settled=true,"
                + " state=rejected \"com.microsoft:server-busy: wait four seconds\")")
        #expect(FrameText(.close(Close())).line == "close()")
        #expect(FrameText(.end(End(error: AMQPError("x:y")))).line == "end(error=\"x:y\")")
    }

    /// A peer may quote what it was sent.
    @Test(arguments: [
        "SharedAccessSignature sr=sb%3a%2f%2fns&sig=c4nary%3d&se=1&skn=n", "token eyJhbGciOiJ.c4nary.x expired",
        "Endpoint=sb://ns/;SharedAccessKey=c4nary", "sig=c4nary",
    ])
    func whatLooksLikeASecretIsHiddenWhereverAPeerPutsIt(text: String) {
        let error = AMQPError("amqp:unauthorized-access", text, info: AMQPMap([.init(.string(text), .symbol(text))]))
        var attach = Attach(name: text, handle: 0, role: .sender)
        attach.properties = error.info
        var open = Open(containerID: text)
        open.offeredCapabilities = [text]
        for performative in [
            Performative.close(Close(error: error)), .attach(attach), .open(open), .end(End(error: error)),
        ] {
            let line = FrameText(performative).line
            #expect(!line.contains("c4nary") && line.contains("…"), "\(line)")
        }
    }

    @Test func answersOfSASLAreNotShown() {
        let secret = ByteBuffer(string: "\u{0}user\u{0}c4nary")
        for frame in [
            SASLFrame.initial(mechanism: "PLAIN", response: secret, hostname: "ns"), .response(secret),
            .challenge(secret), .outcome(.ok, additionalData: secret),
        ] {
            #expect(!FrameText.hidden(frame.description).contains("c4nary"))
        }
    }

    @Test func aTextWithoutEndIsCut() {
        let line = FrameText(.open(Open(containerID: String(repeating: "x", count: 100_000)))).line
        #expect(line.utf8.count < 1200)
        #expect(!FrameText(.open(Open(containerID: "a\r\u{1B}b"))).line.contains("\u{1B}"))
    }
}
