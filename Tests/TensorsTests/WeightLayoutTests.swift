//! Holds the sizes of the tiled layout, which the file format and every backend rely on.

import Tensors
import Testing

@Test func sizesOfTheNineBillionModelsMatrices() {
    // gate_up of GLM-4-9B: 27,392 x 4,096 at 4 bits in groups of 32 takes 4.5 bits a weight.
    let layout = WeightLayout(rows: 27_392, columns: 4096, format: .q4(group: 32))
    #expect(layout.tileCount == 1712 && layout.groupCount == 128)
    #expect(layout.codesByteCount == 27_392 * 4096 / 2)
    #expect(layout.scalesByteCount == 27_392 * 4096 / 32 * 2)
}

@Test(arguments: ElementType.allCases)
func aTileIsSixteenRowsOfWordsInUnits(type: ElementType) {
    let layout = WeightLayout(rows: 16, columns: 128, format: WeightFormat(type, group: 128))
    #expect(layout.tileByteCount == 16 * 128 * type.bitCount / 8)
    #expect(layout.tileByteCount % WeightLayout.unitByteCount == 0)
    #expect(type.elementsPerWord * type.bitCount == 32)
}

@Test func rowsAndColumnsArePadded() {
    let odd = WeightLayout(rows: 17, columns: 1176, format: .q8(group: 64))
    #expect(odd.tileCount == 2 && odd.paddedColumns == 1216 && odd.groupCount == 19)
    #expect(odd.codesByteCount == 32 * 1216 && odd.scalesByteCount == 32 * 19 * 2)
    let float = WeightLayout(rows: 1, columns: 1, format: .f16)
    #expect(float.paddedColumns == 32 && float.codesByteCount == 16 * 32 * 2 && float.scalesByteCount == 0)
}

@Test func joiningRowsKeepsTheNumbers() {
    let memory = Bytes(byteCount: 4 * 6 * 8)
    let patches = Activation(memory, rows: 8, columns: 6)
    let tokens = patches.rows(4..<8).joiningRows(4)
    #expect(tokens.rows == 1 && tokens.columns == 24 && tokens.offset == 4 * 6 * 4)
}

@Test func aPageHoldsKeysAndValuesOfItsTokens() {
    // GLM-4-9B: 2 heads of 128 take 16 KiB for 16 tokens, so 40 layers take 40,960 bytes a token.
    let page = PagedKV.pageByteCount(type: .f16, kvHeads: 2, headSize: 128, pageTokens: 16)
    #expect(page == 16_384 && page / 16 * 40 == 40_960)
    // A head of 128 takes 256, 132 and 84 bytes.
    #expect(PagedKV.pageByteCount(type: .int8, kvHeads: 2, headSize: 128, pageTokens: 16) == 64 * 132)
    #expect(PagedKV.pageByteCount(type: .int5, kvHeads: 2, headSize: 128, pageTokens: 16) == 64 * 84)
}

@Test(arguments: KVType.allCases, [1, 7, 8, 33, 64, 100])
func theHeadsOfAPageLieOneBehindTheOther(type: KVType, headSize: Int) {
    let (heads, tokens) = (3, 5)
    let size = PagedKV.pageByteCount(
        type: type, kvHeads: heads, headSize: headSize, pageTokens: tokens)
    let kv = PagedKV(
        memory: Bytes(byteCount: size), offset: 0, type: type, kvHeads: heads, headSize: headSize,
        pageTokens: tokens, blockTable: [0])
    var end = 0
    for head in 0..<2 * heads {
        func expectRun(_ offset: (Int, Int, Int) -> Int, _ byteCount: Int) {
            for slot in 0..<tokens {
                #expect(offset(head / heads, head % heads, slot) == end)
                #expect(type == .f16 || end % 4 == 0)
                end += byteCount
            }
        }
        expectRun({ kv.codesOffset(part: $0, head: $1, slot: $2) }, type.codeByteCount(headSize: headSize))
        expectRun({ kv.scalesOffset(part: $0, head: $1, slot: $2) }, type.scaleByteCount)
    }
    #expect(end == size)
}

private final class Bytes: BackendMemory {
    let byteCount: Int
    init(byteCount: Int) { self.byteCount = byteCount }
}
