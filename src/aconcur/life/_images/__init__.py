"""Write generations as pictures: PNG, animated PNG and animated GIF.

``write_png`` and ``animate`` are the doors. An animation goes through three hands:

1. ``animate`` iterates over the generations, cuts the window out of each, and passes it on. It
   writes to a temporary file that takes its name only when all has gone well
   (``_core.atomic_file.replace_file``).
2. ``encoder.Encoder`` compresses several frames at once, in as many worker threads as there are
   processors, and writes them in order. It accepts the next frame only when a thread is free, so
   memory holds no more frames than threads.
3. A ``FrameWriter``, one for each format (``png.Apng``, ``gif.Gif``): ``pack`` turns a grid into
   the bytes of a frame, in any thread and any order; ``add`` writes them, one at a time and in
   order.

Two colours a picture: one bit a pixel in PNG, compressed by zlib, which releases the GIL. In GIF a
pixel is a byte, and LZW is its compression. Pillow packs it, while holding the GIL; where numba is
already imported, or a long animation makes its import worth while, ``lzw_kernel`` packs in less
than half of Pillow's time and without the GIL. Measured beside matplotlib's FuncAnimation for 512 ×
512 cells: animated PNG 50 times as fast, GIF 18 times with Pillow and 43 times with numba (``python
-m benchmarks.life_pictures``), which is why the kernel exists.

``look`` holds what all formats share: the size of a cell, its colours, and rows of pixels.
"""
