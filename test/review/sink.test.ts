import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { LineSink } from '../../src/review/sink.ts';

/** A descriptor that does with each write what `script` says next: takes so many bytes, or fails with a code. */
class Descriptor {
  written = '';
  dropped = 0;
  readonly script: (number | string)[];
  readonly sink: LineSink;

  constructor(...script: (number | string)[]) {
    this.script = script;
    this.sink = new LineSink(
      -1,
      () => this.dropped++,
      (_fd, bytes, offset) => {
        const step = this.script.shift() ?? Infinity;
        if (typeof step === 'string') throw Object.assign(new Error(step), { code: step });
        const taken = bytes.subarray(offset, offset + step);
        this.written += taken.toString();
        return taken.length;
      },
    );
  }
}

describe('a sink for lines', () => {
  it('writes the lines of one turn together, after it', async () => {
    const descriptor = new Descriptor(Infinity, 'EIO');
    descriptor.sink.write('a\n');
    descriptor.sink.write('b\n');
    expect(descriptor.written).toBe('');
    await nextTurn();
    expect(descriptor.written).toBe('a\nb\n');
    expect(descriptor.script).toEqual(['EIO']);
  });

  it('goes on where a short write stopped', async () => {
    const descriptor = new Descriptor(1, 2, Infinity);
    descriptor.sink.write('hello\n');
    await descriptor.sink.close();
    expect(descriptor).toMatchObject({ written: 'hello\n', dropped: 0 });
  });

  it('waits for a busy reader, and keeps the order', async () => {
    const descriptor = new Descriptor(2, 'EAGAIN', 'EAGAIN', Infinity);
    descriptor.sink.write('one\n');
    await nextTurn();
    descriptor.sink.write('two\n');
    await expect.poll(() => descriptor.written, { timeout: 15_000 }).toBe('one\ntwo\n');
    expect(descriptor.dropped).toBe(0);
  });

  it('drops what fails, counts it, and goes on with the next line, on a line of its own', async () => {
    const descriptor = new Descriptor(3, 'ENOSPC', 'ENOSPC', Infinity);
    descriptor.sink.write('a line cut short\n');
    await nextTurn();
    descriptor.sink.write('lost\n');
    await nextTurn();
    descriptor.sink.write('there is room again\n');
    await nextTurn();
    expect(descriptor).toMatchObject({ written: 'a l\nthere is room again\n', dropped: 2 });
  });

  it('holds no more than its buffer', async () => {
    const descriptor = new Descriptor();
    const line = `${'x'.repeat(1024 * 1024 - 1)}\n`;
    for (let n = 0; n < 6; n++) descriptor.sink.write(line);
    expect(descriptor.dropped).toBe(2);
    await descriptor.sink.close();
    expect(descriptor.written).toHaveLength(4 * 1024 * 1024);
    expect(descriptor.dropped).toBe(2);
  });

  it('gives up on a reader that does not come back, when it is closed or flushed', async () => {
    const closed = new Descriptor(...Array.from({ length: 1_000 }, () => 'EAGAIN'));
    closed.sink.write('a\n');
    await closed.sink.close();
    expect(closed).toMatchObject({ written: '', dropped: 1 });

    const flushed = new Descriptor(...Array.from({ length: 1_000 }, () => 'EAGAIN'));
    flushed.sink.write('a\n');
    flushed.sink.flush();
    expect(flushed).toMatchObject({ written: '', dropped: 1 });
  });
});
