package dev.weft.engine.library;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.TensorType;
import dev.weft.engine.buffer.DeviceMemory;
import dev.weft.engine.buffer.MemoryKind;
import dev.weft.engine.buffer.OutOfDeviceMemoryException;
import dev.weft.engine.buffer.Slab;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

final class PreparedCallTest {
  private final long live = TensorHandle.live();
  private final DeviceMemory memory = new DeviceMemory(Bytes.of(1 << 20));
  private final Slab slab = Slab.map(memory, 1 << 16, "test");
  private final Arena arena = Arena.ofConfined();
  private final List<TensorHandle> handles = new ArrayList<>();
  private long next;

  @BeforeEach
  void noGradients() {
    Torch.instance().setGradMode(false);
  }

  @AfterEach
  void nothingIsLeft() {
    handles.forEach(TensorHandle::close);
    assertEquals(live, TensorHandle.live());
    slab.close();
    arena.close();
    assertEquals(Bytes.ZERO, memory.current());
  }

  @Test
  void aProductIsWhatAPlainLoopGives() {
    TensorHandle a = tensor(DataType.F32, 5, 7);
    TensorHandle b = tensor(DataType.F32, 7, 3);
    TensorHandle c = tensor(DataType.F32, 5, 3);
    TensorHandle d = tensor(DataType.F32, 5, 3);
    for (int i = 0; i < 35; i++) {
      set(a, i, (i * 37 % 11) - 5);
    }
    for (int i = 0; i < 21; i++) {
      set(b, i, (i * 17 % 13) - 6);
    }
    PreparedCall.dispatcher(arena, "aten::mm", "out", tensors(a, b, c), List.of(Result.discard()))
        .invoke();
    PreparedCall.shim(arena, DeviceKind.CPU, "mm_out", tensors(d, a, b), List.of()).invoke();
    for (int row = 0; row < 5; row++) {
      for (int column = 0; column < 3; column++) {
        float sum = 0;
        for (int k = 0; k < 7; k++) {
          sum += get(a, row * 7 + k) * get(b, k * 3 + column);
        }
        assertEquals(sum, get(c, row * 3 + column));
        assertEquals(sum, get(d, row * 3 + column));
      }
    }
  }

  @Test
  void everyKindOfArgumentReachesTheDispatcher() {
    TensorHandle x = tensor(DataType.F32, 2, 3);
    TensorHandle sums = tensor(DataType.F32, 3);
    for (int i = 0; i < 6; i++) {
      set(x, i, i);
    }
    PreparedCall.dispatcher(
            arena,
            "aten::sum",
            "IntList_out",
            List.of(
                new Argument.Tensor(x),
                new Argument.Some(new Argument.Ints(0)),
                new Argument.Truth(false),
                new Argument.Some(new Argument.Type(DataType.F32)),
                new Argument.Tensor(sums)),
            List.of(Result.discard()))
        .invoke();
    assertEquals(7, get(sums, 2));

    TensorHandle joined = tensor(DataType.F32, 4, 3);
    PreparedCall.dispatcher(
            arena,
            "aten::cat",
            "out",
            List.of(
                new Argument.TensorList(List.of(x, x)),
                new Argument.Int(0),
                new Argument.Tensor(joined)),
            List.of(Result.discard()))
        .invoke();
    assertEquals(4, get(joined, 10));

    TensorHandle y = tensor(DataType.F32, 2, 3);
    PreparedCall.dispatcher(
            arena,
            "aten::gelu",
            "out",
            List.of(new Argument.Tensor(x), new Argument.Text("tanh"), new Argument.Tensor(y)),
            List.of(Result.discard()))
        .invoke();
    assertEquals(0.8412, get(y, 1), 1e-4);

    TensorHandle low = tensor(DataType.F32);
    set(low, 0, 3);
    PreparedCall.dispatcher(
            arena,
            "aten::clamp",
            "Tensor_out",
            List.of(
                new Argument.Tensor(x),
                new Argument.Some(new Argument.Tensor(low)),
                new Argument.None(),
                new Argument.Tensor(y)),
            List.of(Result.discard()))
        .invoke();
    assertEquals(3, get(y, 0));
    assertEquals(5, get(y, 5));
  }

  @Test
  void everyKindOfArgumentReachesADirectFunction() {
    TensorHandle q = tensor(DataType.F32, 1, 1, 4, 2);
    for (int i = 0; i < 8; i++) {
      set(q, i, i % 3);
    }
    TensorSlot output = new TensorSlot("output", memory);
    TensorSlot sums = new TensorSlot("sums", memory);
    PreparedCall.shim(
            arena,
            DeviceKind.CPU,
            "_scaled_dot_product_flash_attention_for_cpu",
            List.of(
                new Argument.Tensor(q),
                new Argument.Tensor(q),
                new Argument.Tensor(q),
                new Argument.Real(0),
                new Argument.Truth(true),
                new Argument.None(),
                new Argument.Some(new Argument.Real(1))),
            List.of(Result.keep(output), Result.keep(sums)))
        .invoke();
    assertEquals(live + handles.size() + 2, TensorHandle.live());
    assertTrue(memory.current(MemoryKind.ADOPTED).count() >= 32);
    output.release();
    sums.release();

    TensorHandle joined = tensor(DataType.F32, 4, 4);
    TensorHandle left = tensor(DataType.F32, 4, 2);
    TensorSlot wide = new TensorSlot("wide", memory);
    set(left, 7, 9);
    PreparedCall.shim(
            arena,
            DeviceKind.CPU,
            "cat",
            List.of(new Argument.TensorList(List.of(left, left)), new Argument.Int(1)),
            List.of(Result.keep(wide)))
        .invoke();
    PreparedCall.shim(
            arena,
            DeviceKind.CPU,
            "copy_",
            List.of(
                new Argument.Tensor(joined), new Argument.Tensor(wide), new Argument.Truth(false)),
            List.of())
        .invoke();
    wide.release();
    assertEquals(9, get(joined, 13));
    assertEquals(9, get(joined, 15));
  }

  @Test
  void scalarsMayChangeBetweenCalls() {
    TensorHandle x = tensor(DataType.F32, 3);
    PreparedCall fill =
        PreparedCall.shim(
            arena,
            DeviceKind.CPU,
            "fill__Scalar",
            List.of(new Argument.Tensor(x), new Argument.Real(1.5)),
            List.of());
    fill.invoke();
    assertEquals(1.5, get(x, 2));
    fill.set(1, -2.0);
    fill.invoke();
    assertEquals(-2, get(x, 2));
    assertThrows(IllegalArgumentException.class, () -> fill.set(0, 1L));

    TensorHandle square = tensor(DataType.F32, 2, 2);
    TensorHandle sums = tensor(DataType.F32, 2, 2);
    for (int i = 0; i < 4; i++) {
      set(square, i, i + 1);
    }
    PreparedCall sum =
        PreparedCall.dispatcher(
            arena,
            "aten::cumsum",
            "out",
            List.of(
                new Argument.Tensor(square),
                new Argument.Int(0),
                new Argument.None(),
                new Argument.Tensor(sums)),
            List.of(Result.discard()));
    sum.invoke();
    assertEquals(4, get(sums, 2));
    sum.set(1, 1L);
    sum.invoke();
    assertEquals(7, get(sums, 3));
    assertEquals(3, get(sums, 2));
  }

  @Test
  void aFailureNamesTheCallItsArgumentsAndTheReason() {
    TensorHandle a = tensor(DataType.F32, 2, 3);
    TensorHandle out = tensor(DataType.F32, 2, 2);
    PreparedCall call =
        PreparedCall.dispatcher(
            arena, "aten::mm", "out", tensors(a, a, out), List.of(Result.discard()));
    for (int i = 0; i < 3; i++) {
      KernelException e = assertThrows(KernelException.class, call::invoke);
      assertEquals("aten::mm.out", e.operation());
      assertTrue(e.getMessage().contains("aten::mm.out(f32[2,3], f32[2,3], f32[2,2])"));
      assertTrue(e.getMessage().contains("cannot be multiplied (2x3 and 2x3)"), e.getMessage());
    }
    KernelException unknown =
        assertThrows(
            KernelException.class,
            PreparedCall.dispatcher(arena, "aten::no_such", "", List.of(), List.of())::invoke);
    assertTrue(unknown.getMessage().contains("aten::no_such"), unknown.getMessage());
    assertThrows(
        IllegalArgumentException.class,
        () -> PreparedCall.shim(arena, DeviceKind.CPU, "no_such", List.of(), List.of()));
  }

  @Test
  void aTensorThatIsGoneStopsTheCallBeforeLibtorchSeesIt() {
    TensorHandle a = tensor(DataType.F32, 2, 2);
    TensorHandle gone = TensorHandle.view(slab, 0, TensorType.of(DataType.F32, 2, 2));
    gone.close();
    TensorSlot empty = new TensorSlot("empty", memory);
    for (TensorSource missing : List.of(gone, empty)) {
      List<Argument> arguments =
          List.of(
              new Argument.TensorList(List.of(a, missing)),
              new Argument.Int(0),
              tensors(a).getFirst());
      assertThrows(
          IllegalStateException.class,
          PreparedCall.dispatcher(arena, "aten::cat", "out", arguments, List.of())::invoke);
      assertThrows(
          IllegalStateException.class,
          PreparedCall.shim(arena, DeviceKind.CPU, "mm_out", tensors(a, a, missing), List.of())
              ::invoke);
      assertThrows(
          IllegalStateException.class,
          PreparedCall.dispatcher(
                  arena,
                  "aten::clamp",
                  "Tensor_out",
                  List.of(
                      new Argument.Tensor(a),
                      new Argument.Some(new Argument.Tensor(missing)),
                      new Argument.None(),
                      new Argument.Tensor(a)),
                  List.of())
              ::invoke);
    }
  }

  @Test
  void aSlotHoldsOneTensorAtATimeAndBooksItsBytes() {
    TensorHandle a = tensor(DataType.F32, 4, 4);
    TensorSlot slot = new TensorSlot("product", memory);
    PreparedCall call =
        PreparedCall.dispatcher(arena, "aten::mm", "", tensors(a, a), List.of(Result.keep(slot)));
    call.invoke();
    assertEquals(64, slot.bytes());
    assertEquals(Bytes.of(64), memory.current(MemoryKind.ADOPTED));
    assertThrows(IllegalStateException.class, call::invoke);
    slot.release();
    assertThrows(IllegalStateException.class, slot::release);
    assertEquals(Bytes.ZERO, memory.current(MemoryKind.ADOPTED));
    call.invoke();
    slot.close();
    slot.close();
  }

  @Test
  void aResultAboveTheBudgetIsFreedAndNamed() {
    DeviceMemory small = new DeviceMemory(Bytes.of(63));
    TensorHandle a = tensor(DataType.F32, 4, 4);
    TensorSlot slot = new TensorSlot("product", small);
    OutOfDeviceMemoryException e =
        assertThrows(
            OutOfDeviceMemoryException.class,
            PreparedCall.dispatcher(
                    arena, "aten::mm", "", tensors(a, a), List.of(Result.keep(slot)))
                ::invoke);
    assertEquals("product", e.operation());
    assertEquals(Bytes.of(64), e.needed());
    assertTrue(slot.isEmpty());
  }

  @Test
  void aCallAfterItsArenaIsClosedThrows() {
    TensorHandle a = tensor(DataType.F32, 2, 2);
    PreparedCall dispatched;
    PreparedCall direct;
    try (Arena brief = Arena.ofConfined()) {
      dispatched = PreparedCall.dispatcher(brief, "aten::mm", "out", tensors(a, a, a), List.of());
      direct = PreparedCall.shim(brief, DeviceKind.CPU, "mm_out", tensors(a, a, a), List.of());
    }
    assertThrows(IllegalStateException.class, dispatched::invoke);
    assertThrows(IllegalStateException.class, direct::invoke);
  }

  @Test
  void aCallAllocatesNothingInJava() {
    TensorHandle a = tensor(DataType.F32, 4, 4);
    TensorHandle out = tensor(DataType.F32, 4, 4);
    TensorSlot slot = new TensorSlot("product", memory);
    PreparedCall[] calls = {
      PreparedCall.dispatcher(
          arena, "aten::mm", "out", tensors(a, a, out), List.of(Result.discard())),
      PreparedCall.dispatcher(arena, "aten::mm", "", tensors(a, a), List.of(Result.keep(slot))),
      PreparedCall.shim(arena, DeviceKind.CPU, "mm_out", tensors(out, a, a), List.of())
    };
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    // Linking allocates at first.
    long least = Long.MAX_VALUE;
    for (int round = 0; round < 60 && least >= 1000; round++) {
      long before = threads.getCurrentThreadAllocatedBytes();
      for (int i = 0; i < 1000; i++) {
        for (PreparedCall call : calls) {
          call.invoke();
        }
        slot.release();
      }
      least = Math.min(least, threads.getCurrentThreadAllocatedBytes() - before);
    }
    assertTrue(least < 1000, "3000 calls allocated " + least + " bytes");
  }

  private TensorHandle tensor(DataType dtype, long... sizes) {
    TensorType type = TensorType.of(dtype, sizes);
    TensorHandle handle = TensorHandle.view(slab, next, type);
    next += Math.ceilDiv(type.bytes(), 64L) * 64;
    handles.add(handle);
    return handle;
  }

  private static List<Argument> tensors(TensorSource... sources) {
    List<Argument> arguments = new ArrayList<>();
    for (TensorSource source : sources) {
      arguments.add(new Argument.Tensor(source));
    }
    return arguments;
  }

  private void set(TensorHandle tensor, int index, float value) {
    slab.segment()
        .set(ValueLayout.JAVA_FLOAT, tensor.dataAddress() - slab.address() + 4L * index, value);
  }

  private float get(TensorHandle tensor, int index) {
    return slab.segment()
        .get(ValueLayout.JAVA_FLOAT, tensor.dataAddress() - slab.address() + 4L * index);
  }
}
