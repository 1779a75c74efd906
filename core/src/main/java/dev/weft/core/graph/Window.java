package dev.weft.core.graph;

/**
 * How a window slides along one dim. Tap k (of {@code size}) at step o touches element i of the dim
 * where
 *
 * <pre>i * baseDilation + padLow = o * stride + k * windowDilation</pre>
 *
 * and nothing where there is no such i: there lies padding, or a gap between dilated elements. A
 * negative padding crops.
 *
 * @param size taps of the window
 * @param stride distance between the windows of neighbouring steps, at least 1
 * @param padLow what is put before the dim, after dilating it
 * @param padHigh what is put behind
 * @param windowDilation distance between neighbouring taps, at least 1
 * @param baseDilation distance that neighbouring elements are moved apart to, at least 1
 */
public record Window(
    long size, long stride, long padLow, long padHigh, long windowDilation, long baseDilation) {

  public Window {
    if (size < 0 || stride < 1 || windowDilation < 1 || baseDilation < 1) {
      throw new IllegalArgumentException(
          "a window needs a size, stride and dilations of at least 1, found size %d, stride %d, window dilation %d, base dilation %d"
              .formatted(size, stride, windowDilation, baseDilation));
    }
  }

  /** How far the taps reach, the first and the last included. */
  public long span() {
    return size == 0 ? 0 : 1 + (size - 1) * windowDilation;
  }

  /** After how many steps windows begin again at the same place between two elements. */
  public long period() {
    long a = stride;
    long b = baseDilation;
    while (b != 0) {
      long rest = a % b;
      a = b;
      b = rest;
    }
    return baseDilation / a;
  }

  /** How long a dim is once its elements are moved apart, without padding. */
  public long dilated(long elements) {
    return elements == 0 ? 0 : 1 + (elements - 1) * baseDilation;
  }

  /** How many steps fit over a dim of so many elements. */
  public long steps(long elements) {
    long length = dilated(elements) + padLow + padHigh;
    return length < span() ? 0 : (length - span()) / stride + 1;
  }

  /**
   * The first element that steps from this one on may touch. It lies before 0, or behind the last
   * element, where they begin in padding.
   */
  public long start(long step) {
    return Math.ceilDiv(step * stride - padLow, baseDilation);
  }

  /**
   * One behind the last element that steps up to and including this one may touch; beyond the dim
   * where they end in padding.
   */
  public long limit(long step) {
    return Math.floorDiv(step * stride - padLow + span() - 1, baseDilation) + 1;
  }

  /**
   * The window of some steps over some elements: step 0 of the result is step {@code step} of this
   * one, and element 0 is element {@code element}. Elements outside of the part count as padding.
   *
   * @param step the first step, of {@code steps}
   * @param element the first element, of {@code elements}
   */
  public Window part(long step, long steps, long element, long elements) {
    long low = padLow + element * baseDilation - step * stride;
    return with(low, 0).fitted(elements, steps);
  }

  /** The same with the high padding that makes so many steps of so many elements. */
  public Window fitted(long elements, long steps) {
    return with(padLow, (steps - 1) * stride + span() - padLow - dilated(elements));
  }

  /** The same with other padding. */
  public Window with(long low, long high) {
    return new Window(size, stride, low, high, windowDilation, baseDilation);
  }

  /**
   * The window seen from the other side, over steps instead of elements: its steps are this one's
   * elements, and its tap k is this one's tap {@code size - 1 - k}.
   */
  public Window transposed(long elements, long steps) {
    return new Window(size, baseDilation, span() - 1 - padLow, 0, windowDilation, stride)
        .fitted(steps, elements);
  }
}
