// What a Node service does; prints only what doesn't differ from run to run.
const fs = require('fs'), http = require('http'), os = require('os'), path = require('path'), net = require('net'), dns = require('dns');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const { execFileSync, spawn, fork, spawnSync } = require('child_process');

if (!isMainThread) {
    parentPort.postMessage(fs.readFileSync(workerData, 'utf8').length);
} else if (process.send) {
    process.on('message', m => { process.send(m * 2); process.disconnect(); });
} else {
    main().catch(e => { console.log('failed', e); process.exit(1); });
}

function get(options) {
    return new Promise((done, fail) => http.get(options, r => {
        let text = '';
        r.on('data', d => text += d).on('end', () => done(r.statusCode + ' ' + text));
    }).on('error', fail));
}

async function main() {
    console.log('ids', process.getuid(), process.getgid(), process.cwd(), process.argv.length, Object.keys(process.env).sort().join());
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'node-'));
    process.chdir(folder);
    fs.writeFileSync('a', 'x'.repeat(100000));
    fs.appendFileSync('a', 'end');
    fs.copyFileSync('a', 'b');
    fs.mkdirSync('d/e/f', { recursive: true });
    fs.symlinkSync('../a', 'd/link');
    fs.renameSync('b', 'd/c');
    console.log('files', fs.readdirSync('.').join(), fs.statSync('a').size, fs.realpathSync('d/link') === path.join(folder, 'a'), fs.existsSync('nothing'));
    await Promise.all([...Array(100).keys()].map(i => fs.promises.writeFile(`d/${i}`, String(i))));
    console.log('promises', (await Promise.all((await fs.promises.readdir('d')).sort().slice(0, 5).map(n => fs.promises.stat('d/' + n)))).map(s => s.isFile()).join());
    for (const f of [() => fs.readFileSync('/etc/shadow').length > 0, () => fs.readFileSync('nothing'), () => fs.rmdirSync('d'), () => fs.writeFileSync('/usr/x', ''), () => fs.readdirSync('a')]) {
        try { console.log('done', f()); } catch (e) { console.log(e.code); }
    }
    const watched = new Promise(done => { const w = fs.watch('.', (event, name) => { if (name === 'watched') { w.close(); done(name); } }); });
    fs.writeFileSync('watched', '');
    console.log('watch', await watched);

    const workers = [1, 2, 3].map(() => new Promise((done, fail) => new Worker(__filename, { workerData: path.join(folder, 'a') }).on('message', done).on('error', fail)));
    console.log('workers', (await Promise.all(workers)).join());
    console.log('execFile', execFileSync('sh', ['-c', 'echo $((6 * 7))']).toString().trim(), spawnSync('sh', ['-c', 'kill -9 $$']).signal, spawnSync('no-such-program').error.code);
    const child = fork(__filename);
    child.send(21);
    console.log('fork', await new Promise(done => child.on('message', done)));
    const cat = spawn('cat');
    cat.stdin.end('piped');
    console.log('spawn', await new Promise(done => cat.stdout.on('data', d => done(d.toString()))));

    const server = http.createServer((request, response) => {
        fs.readFile(path.join(folder, 'd', path.basename(request.url)), (e, data) => { response.statusCode = e ? 404 : 200; response.end(data); });
    });
    await new Promise(done => server.listen(0, '127.0.0.1', done));
    const port = server.address().port;
    console.log('http', (await Promise.all(['1', '50', 'none'].map(n => get({ port, host: '127.0.0.1', path: '/' + n })))).join());
    console.log('localhost', await get({ port, host: 'localhost', family: 4, path: '/99' }));
    server.close();
    const local = http.createServer((_, response) => response.end('unix'));
    await new Promise(done => local.listen(path.join(folder, 'socket'), done));
    console.log('socket', await get({ socketPath: path.join(folder, 'socket'), path: '/' }));
    local.close();
    console.log('refused', await new Promise(done => net.connect(1, '127.0.0.1').on('error', e => done(e.code))));
    process.chdir('/');
    fs.rmSync(folder, { recursive: true });
    console.log('left', fs.readdirSync(os.tmpdir()).join());
    process.exitCode = 6;
}
