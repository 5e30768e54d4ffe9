module attributes {onnx.graph_name = "g", onnx.ir_version = 8 : i64, onnx.opset_import = {ai.onnx = 17 : i64}} {
  onnx.initializer @zero : tensor<i64> = dense<0> : tensor<i64>
  onnx.initializer @one : tensor<i64> = dense<1> : tensor<i64>
  onnx.initializer @low : tensor<f32> = dense<-1.000000e+09> : tensor<f32>
  onnx.initializer @none : tensor<f32> = dense<0.000000e+00> : tensor<f32>
  onnx.initializer @half : tensor<f32> = dense<5.000000e-01> : tensor<f32>
  onnx.initializer @sqrt : tensor<f32> = dense<1.41421354> : tensor<f32>
  onnx.initializer @bias : tensor<4x1x1xf32> = dense<[[[2.04091907]], [[-2.55566502]], [[0.418098837]], [[-0.567769587]]]> : tensor<4x1x1xf32>
  onnx.initializer @w1 : tensor<8x8xf32> = dense<[[-0.135794789, -0.0646791458, -0.605995833, -0.069579713, -0.259563923, 0.996899843, 0.0677359849, -0.105789237], [-0.084386222, -0.200413898, -0.316545159, -0.117240295, 0.144583613, -0.0715660825, 0.287327617, -0.0599406399], [0.00727786962, 0.46374625, 0.163531661, -0.151568621, -0.0548516922, 0.162157536, 0.580526412, -0.0808860957], [-0.0730676055, 0.300694078, -0.265937984, -0.0875160694, 0.264761686, 1.741050e-01, 0.0274550114, 0.201031312], [-0.848448693, 0.306392044, -0.287893414, -5.005860e-01, 0.0829337313, 0.210163459, -0.133430243, -0.322921753], [7.837450e-03, -0.0158241931, 0.421679437, 0.224222392, 0.0581446923, 0.333489954, -0.0616569147, -0.277769864], [0.175217494, 0.174761519, -0.064448677, -0.234842569, 0.0687461719, -0.748168289, 0.207037434, 0.147410482], [-0.491657138, 0.0184060521, -0.2892299, 0.22716631, -0.610250174, -0.274348348, 2.128740e-01, 0.346920311]]> : tensor<8x8xf32>
  onnx.initializer @c3 : tensor<4xi64> = dense<[0, 0, 4, 2]> : tensor<4xi64>
  onnx.initializer @w6 : tensor<8x4xf32> = dense<[[-0.64740163, -0.149411947, 0.0984060242, -0.182764843], [0.477192074, -3.573680e-01, 0.106359586, -0.31452167], [0.421788871, -0.00649536867, -0.111675166, -0.515455484], [0.504547656, 0.22583358, 0.226069152, 0.341364384], [0.104767971, -0.191773981, -0.24007237, -0.240059987], [0.411021709, -0.438114375, -0.178910851, -0.096373178], [0.0673857108, 0.172604814, -0.374729097, -0.519004047], [-0.0013242698, 0.364069134, 0.227117419, 0.0646952316]]> : tensor<8x4xf32>
  onnx.initializer @w8 : tensor<4xf32> = dense<[-0.0951466932, 0.0879701077, -0.0730005279, 0.24516198]> : tensor<4xf32>
  onnx.initializer @c10 : tensor<4xi64> = dense<[0, 0, 2, 2]> : tensor<4xi64>
  onnx.initializer @c12 : tensor<1xi64> = dense<3> : tensor<1xi64>
  onnx.initializer @c14 : tensor<5xi64> = dense<[1, 1, 1, 2, 1]> : tensor<5xi64>
  onnx.initializer @c17 : tensor<1xi64> = dense<1> : tensor<1xi64>
  onnx.initializer @c20 : tensor<4xi64> = dense<[0, 4, 2, -1]> : tensor<4xi64>
  onnx.initializer @w25 : tensor<8x4xf32> = dense<[[-0.238334209, 0.0402719826, -0.0332340412, 0.163007811], [0.0673915595, 0.765010416, 0.449596435, 0.449021161], [-0.611851155, -0.102094986, -0.182583183, 0.159816474], [-0.683707952, 0.352349609, 3.200950e-01, -0.390621245], [-0.293564558, -0.240351602, 0.0129887704, 0.192291319], [0.614365816, -0.0592336282, 0.230250761, 0.0466253422], [0.527977884, 0.222647354, 0.410565138, -0.323302567], [-0.0576722138, -0.244131729, 0.451484233, 0.19729197]]> : tensor<8x4xf32>
  onnx.initializer @w27 : tensor<4xf32> = dense<[-0.0915433242, -0.13574037, 0.145399466, -0.210448653]> : tensor<4xf32>
  onnx.initializer @c33 : tensor<1xi64> = dense<2> : tensor<1xi64>
  onnx.initializer @c36 : tensor<4xi64> = dense<[0, 4, -1, 2]> : tensor<4xi64>
  onnx.initializer @c40 : tensor<3xi64> = dense<[0, 0, 8]> : tensor<3xi64>
  onnx.initializer @w42 : tensor<8x8xf32> = dense<[[-0.279176652, 0.144382343, 0.738939583, -0.0738400668, -0.166759729, -0.351347059, -0.400503278, 0.157494977], [0.255240917, 0.0027524163, 0.099772796, 0.034774974, 0.0415964536, -0.457847714, -0.137435481, 0.0334437937], [-0.234950036, -0.142928928, -0.245736048, -0.100049004, 0.25593248, -0.121974103, -0.0461612046, 0.244115502], [0.193431064, 0.508562267, -0.627145529, 0.257057697, -0.144685224, 0.0404075459, 0.251315802, 0.324975938], [0.311805218, 0.0465320088, 0.482898802, -0.0848922654, -0.042294573, 0.239805356, -0.165411726, 0.648271858], [0.305761963, 0.652672588, -0.00797675643, -0.114926562, 5.011440e-02, 0.220372945, -0.1762283, 0.113910526], [-0.00504128356, 0.484704524, -0.198810548, 0.313848525, -0.193159059, -0.288190246, -0.213089824, -0.357055753], [0.0439051092, 0.309378237, 0.0492944643, 0.187297538, 0.489652246, 0.0810079351, 0.0585487075, -0.0825184435]]> : tensor<8x8xf32>
  onnx.initializer @w45 : tensor<8x8xf32> = dense<[[-0.482472688, 0.22792168, -0.52693814, 0.195802927, -0.0042961007, 0.338034421, -0.0203310773, -0.246960044], [0.107373081, -0.168070838, -0.0542870462, 0.0125612365, -0.0403649136, -0.0566406809, -0.249733493, -0.056740135], [-0.641502201, -0.0471996292, -0.359416783, 0.336079121, 0.380978018, -0.585307717, 0.0434750356, -0.0379091762], [-0.314014703, 0.15949595, -0.13850686, -0.530279756, -0.0800029933, -0.0444759354, 0.0319293067, -0.369369894], [0.184704274, 0.220637128, -0.343748182, -0.197656676, -0.024101194, -0.169777602, 0.523126364, 0.0625116378], [-0.303174615, -0.236432672, -0.0172410775, 0.688733637, -0.0534792952, 0.038242925, 0.154213607, -0.0120377811], [0.68419826, -0.15945749, 0.223260939, 0.0481313914, 0.186358914, -0.352992892, 0.530433834, -0.0364582539], [0.0102489786, -0.280492872, -0.218908578, 0.169271827, 0.295949966, 0.225976408, 0.362691075, 0.214346677]]> : tensor<8x8xf32>
  onnx.initializer @w49 : tensor<8x4xf32> = dense<[[0.00853854976, 0.250957787, 0.178080976, -0.0301725809], [0.217821822, 0.385709226, 7.037140e-02, -0.106861532], [0.21561341, 0.570216537, -0.0631686151, -0.0276928861], [-0.0409192592, 0.366905212, -0.551159501, 0.109753609], [0.357679188, -0.244014949, 0.446693212, 0.160592705], [-0.164710775, 0.0612419471, -0.460347623, -0.169671312], [0.548071146, -0.26814121, 0.553371549, -0.0244720764], [0.298398852, 0.013169107, -0.672444463, -0.171795398]]> : tensor<8x4xf32>
  onnx.initializer @w51 : tensor<4xf32> = dense<[0.0569560789, -0.345284909, -0.404223233, 0.109855756]> : tensor<4xf32>
  onnx.initializer @c54 : tensor<4xi64> = dense<[0, 0, 1, 1]> : tensor<4xi64>
  onnx.initializer @w61 : tensor<8x4xf32> = dense<[[-0.194824502, -0.508748174, -0.205234557, 0.258221269], [-0.142123818, 0.280431777, 0.458181828, 0.00975462049], [-3.389050e-01, -0.390469521, -0.00787615589, 0.264316708], [0.0807045996, 0.164177164, -0.133002535, 0.0901268274], [-0.141392633, -0.0976829677, -0.387673944, -0.471663892], [-0.14458701, -0.332279801, -0.287623703, 0.201314241], [-0.0321242772, 0.874237776, 0.277902633, -0.189956278], [0.233402207, 0.107041165, -0.205704316, 0.33077848]]> : tensor<8x4xf32>
  onnx.initializer @w63 : tensor<4xf32> = dense<[-0.232598588, -0.917514383, 0.238219425, -0.185177729]> : tensor<4xf32>
  onnx.initializer @w71 : tensor<8x8xf32> = dense<[[0.445811242, -0.19490166, -0.354406267, 0.464538515, -0.322649509, 0.0610181056, 0.434918165, 0.0343492031], [-0.0241754744, 0.0307270307, 0.251716107, -0.242043644, 0.183192298, 0.17312263, 0.699813604, -0.100957662], [-0.274448961, 0.220706105, -0.119147174, 0.0867348462, 0.0397729576, 0.350518197, -0.197051242, -0.0276838578], [-0.765633821, -0.267034173, 0.460901648, -0.20445177, -0.21044305, -0.365372151, 0.173950285, 0.0533970483], [-0.356060058, 0.200235114, 0.0780317634, 0.226210013, -0.192443848, 0.521402657, 0.122960284, -0.0350668542], [-0.155650288, -0.0734482109, 0.25763759, -0.0806900039, 0.323443174, 0.174202845, 0.403948545, 0.244231269], [-0.0188817792, -5.728020e-01, 0.0895711705, 0.236722812, 0.0488676839, 0.166929513, -0.141486034, -0.114143275], [-0.282716721, 0.408570111, 0.0475182794, -0.147745833, -0.399555743, -0.0459921844, 0.432789356, 0.138576493]]> : tensor<8x8xf32>
  onnx.initializer @w74 : tensor<8x8xf32> = dense<[[-0.217356473, 0.428848475, 0.428553045, 0.294232845, 0.236645058, 0.346695542, 0.16297771, 0.23250024], [-0.234007597, 0.449867338, 0.0693540573, 0.607263565, -0.612674415, 0.211622655, 0.294438452, -0.102879785], [0.135733292, 0.224497914, 0.17321445, -0.161897779, -0.0425813496, 0.305711836, 0.383196026, 0.0296930522], [0.0231097434, 0.060148906, 0.311299562, -0.316211551, -0.398719758, 0.0372944884, -0.331958622, -0.176132843], [0.0258887224, 0.144751474, -0.321627557, 0.24048163, -0.532114387, 0.163624808, -0.47331953, -0.382477015], [0.192666575, -0.121908665, -0.238667488, -0.133433029, 0.139509782, -0.0162140392, -0.00881483219, 0.316432923], [-0.214917183, -0.141580105, -1.567290e-01, 0.350676656, 0.297421694, 0.386122972, -0.0101251826, -0.0470407642], [0.255831897, -0.118323505, 0.249199912, 0.217287824, -0.20949541, -2.495840e-02, -0.0357752964, 0.520002127]]> : tensor<8x8xf32>
  onnx.initializer @w78 : tensor<8x4xf32> = dense<[[0.776346981, -0.0299781747, 0.00421940349, -0.684475362], [0.0634596869, -0.00210989174, -0.321853131, 0.23567827], [-0.469726145, -0.0644558892, 0.0416570269, -0.37469998], [0.257022232, 0.31666851, -0.415926248, -0.422351569], [0.180677846, -0.00914910063, -0.363420933, -0.0885680169], [-0.0322550051, -0.0429116786, 0.248246595, 0.115259476], [0.530839145, 0.412308156, 0.203542128, 0.323123813], [0.397145897, 0.211798444, -0.36772269, 0.257825136]]> : tensor<8x4xf32>
  onnx.initializer @w80 : tensor<4xf32> = dense<[0.0216817763, 0.485643297, 0.0280422568, 0.157797739]> : tensor<4xf32>
  onnx.initializer @c84 : tensor<4xi64> = dense<[1, 2, 1, 1]> : tensor<4xi64>
  onnx.initializer @w91 : tensor<8x4xf32> = dense<[[0.0988919734, 0.50436765, 0.0531546958, -0.0808619708], [0.0927275419, -0.131852478, 0.0486117713, -0.00224160915], [0.081486769, 0.57698524, -0.121707171, 0.0110919625], [-0.0598475225, 0.201783463, -0.354472399, -0.207818851], [-0.0118468804, 0.163844362, -0.0138843628, -0.150085881], [-0.260048211, 0.153525785, 0.432659566, 0.0968626439], [0.0564405061, 0.133161902, -0.282795876, -0.0935024693], [-0.0803779289, 0.088572137, -0.00960770715, -0.36492002]]> : tensor<8x4xf32>
  onnx.initializer @w93 : tensor<4xf32> = dense<[0.33756873, 0.507722557, -0.0789591372, 0.119652264]> : tensor<4xf32>
  onnx.initializer @w101 : tensor<8x8xf32> = dense<[[0.0801484734, 0.235399082, -0.443934917, 0.483902931, -0.140355706, 0.379267842, 0.0242013428, -0.116866693], [-0.0421358086, 0.269151896, -0.258982837, -0.112553373, -0.144654065, -0.51463449, 0.390127599, 0.173666656], [-0.00639450643, 0.349098802, -0.286928952, -0.022034945, 0.517620862, 0.293899924, -0.667635142, -0.999624371], [-0.311371148, 3.183850e-01, -0.141733736, -0.0653232187, 0.182481438, -0.265560687, 0.0638633668, 0.237629473], [0.140103966, 0.118783638, -0.180613831, 0.154286146, -0.128289029, 0.391484082, 0.771027803, -0.221971765], [-0.652350604, -0.127631962, 0.11305353, 0.315039396, 0.32370466, -0.235185415, -0.237970605, 0.380190283], [-0.327716321, 0.327069402, -0.0680663809, 0.229921073, 0.211849421, 0.232995749, 0.246128008, -0.296817303], [0.0892563313, 0.00419472344, 0.092522405, 0.369974524, -0.0813324749, -0.213591129, -0.218434647, -0.0932455137]]> : tensor<8x8xf32>
  onnx.initializer @w104 : tensor<8x8xf32> = dense<[[0.225783169, -0.244444683, 0.347777367, 0.0871354416, -0.0678332746, -0.399495304, 0.0734799579, 0.207440794], [-0.529729724, 0.357587874, 0.494324118, 0.101550691, 0.147534266, 0.724108517, 0.369567215, -0.269327164], [-0.00499355607, -0.047079321, -0.0452630371, -0.709280372, 0.227101445, -0.191020831, 0.0490954407, -0.040841803], [0.261328608, -0.0887426063, -0.238628417, 0.159726739, 0.421465695, -0.095943205, 0.410984397, 0.0786549448], [-0.159818843, 0.457547337, -0.2455879, 0.304214448, -0.149455786, 0.1350656, -0.370244503, -0.251277775], [0.319515705, 0.056435056, 0.0114879049, -0.131942466, 0.133944198, -0.419180781, -0.335980564, -0.0473371111], [-0.250284314, -0.210178137, -0.0214509778, -0.041256398, -0.0667520091, 0.499582678, 0.303322732, 0.368920356], [-0.00844860076, -0.15140529, -0.436169744, -0.104441218, -0.625786662, -0.175122395, 0.22927168, 0.486459076]]> : tensor<8x8xf32>
  onnx.initializer @c107 : tensor<5xi64> = dense<[0, 0, 2, 2, 2]> : tensor<5xi64>
  onnx.initializer @c109 : tensor<1xi64> = dense<4> : tensor<1xi64>
  onnx.initializer @c112 : tensor<4xi64> = dense<[0, 2, -1, 2]> : tensor<4xi64>
  onnx.initializer @w114 : tensor<8x4xf32> = dense<[[0.28968206, -0.258480132, 0.147785559, -0.236749202], [0.246892139, -0.033408355, 0.257460028, 0.771868646], [0.2767573, 0.699734985, 0.0532326922, -0.0989153161], [0.400111318, 5.173070e-01, -0.166504383, 0.0229895897], [-0.430358857, -0.0600137636, 0.266499668, -0.0259154513], [-0.170766041, -0.42217198, 0.110476352, 0.239262193], [0.178950205, 0.0765947104, -0.382219613, 0.528542578], [-0.0169609096, -0.0434389338, 0.219878569, -0.648955881]]> : tensor<8x4xf32>
  onnx.initializer @w118 : tensor<8x4xf32> = dense<[[-0.0193401705, -0.0410368815, 0.111684941, 0.404147953], [0.141660035, -0.549629509, -0.101723023, 0.0616595112], [0.0441501699, -0.38437888, -0.499127567, 0.164703265], [0.103060529, -6.390320e-03, -0.517626584, 0.532215118], [-0.870070099, -0.109229185, 0.627345443, -0.0472277589], [0.0696210638, -0.353743941, 4.075920e-01, -0.387786865], [0.0763257518, 0.0404716954, -0.315217376, 0.26609382], [-0.424787402, -0.205045357, -0.00861066114, -0.123749308]]> : tensor<8x4xf32>
  onnx.initializer @c123 : tensor<1xi64> = dense<0> : tensor<1xi64>
  onnx.initializer @c130 : tensor<1xi64> = dense<5> : tensor<1xi64>
  onnx.initializer @c138 : tensor<3xi64> = dense<[0, 1, 2]> : tensor<3xi64>
  onnx.initializer @c143 : tensor<1xi64> = dense<-1> : tensor<1xi64>
  onnx.initializer @w155 : tensor<8x8xf32> = dense<[[1.403420e-01, 0.277216464, -0.0881321281, -0.162439793, -0.155093476, -0.109678186, 0.242894664, -0.0652755052], [0.122291863, -0.0273458324, -0.253339559, 0.259115934, -0.311412364, 0.00185933895, 0.446107149, -0.327932119], [-0.0165565554, -0.475434333, -0.152824879, -0.448379904, -0.108476155, -0.161489233, 0.0395914838, 0.475290269], [0.0848953575, 0.197452337, -0.0152105819, -0.0733570829, -0.25019455, -0.540257037, 0.0205861107, 0.488737047], [0.142889962, -0.160196692, 0.494821846, -0.129787058, -0.185651913, -0.363808304, -0.288615286, -0.073908858], [0.599706172, -0.0618528649, -0.309454888, -0.18162559, -0.06685853, -0.513525605, 0.0379885323, 0.210200548], [0.096243672, 0.180219799, -0.386864126, -0.509577572, 0.38567239, 0.328299403, -0.462079346, 0.0619144961], [0.00765836099, 0.163465887, 0.0625758618, -0.150639579, 0.0585769899, 0.0471140631, -0.014588289, -0.555725574]]> : tensor<8x8xf32>
  onnx.initializer @w158 : tensor<8x8xf32> = dense<[[-0.898560286, -0.237056643, -0.490431458, 0.0757686123, 0.214829013, 0.0789346248, -0.110858366, 0.0211442541], [0.350202322, -0.218642414, 0.276688427, 0.212284893, 0.078505285, 0.435579062, -0.215345576, 0.282751799], [-0.27868548, -0.230109468, -0.317913324, 0.133749485, -2.819280e-01, 0.0156479701, -0.341013581, 0.319877267], [0.55085206, 0.0678229928, 0.493009627, 0.168199092, 6.507930e-01, 0.0299142804, -0.471127093, 0.447175205], [-0.0379101411, -0.310753495, -0.196879759, -0.487899512, -0.0503105409, -0.321379125, 0.445254177, 0.1993476], [-0.498121798, -0.452811688, -0.170092732, -0.577512324, -0.0329417437, -0.0130344452, -0.231841907, -0.163948312], [0.149655849, 0.426505387, 0.448701978, 0.0102926493, 0.256754726, -0.221506611, 0.123586133, -0.28790161], [0.218872011, -0.37152037, -0.289524913, -0.00250339345, 0.167096749, -0.431452364, -0.160991579, 0.0405453146]]> : tensor<8x8xf32>
  onnx.initializer @w162 : tensor<8x8xf32> = dense<[[0.0687138885, -0.251639754, 0.0290647671, -0.0801711082, 0.421148747, 0.16706948, -0.397228599, -0.660467148], [0.0299645402, 0.354625374, 0.0521220155, 0.264619797, -0.145402029, -0.409176171, 0.224578112, 0.0296826828], [0.205104873, -0.414469779, 0.0544660315, -0.187650293, 0.241976649, -0.174206197, -0.182218477, -0.175716117], [0.379115105, 0.00865925848, -0.227999151, -0.306775242, -0.313236743, 0.438788265, -0.544432342, -0.255107254], [0.191367105, 0.353548706, -0.0444832221, 0.235654816, 0.227885187, 0.295856118, 0.0139245093, 0.496490419], [0.0648376122, 0.464460015, -0.324836522, 0.288183928, -0.370511085, -0.442675024, 0.157649726, -0.239923343], [0.143098116, -0.311777145, 0.492112637, 0.0136239026, -0.328282118, 0.0646977276, 0.277223974, -0.218065813], [0.168524906, 0.628004313, 0.274645746, 0.0117743881, -0.155857682, 0.188741416, -0.439321697, -0.895943403]]> : tensor<8x8xf32>
  onnx.initializer @w171 : tensor<8x8xf32> = dense<[[-0.184019104, -0.308539867, 0.539951921, 0.0587659627, -0.278520942, -0.33156234, 0.167442441, -0.231363311], [-0.1566903, -0.00911092293, 0.0451088846, 0.0481636599, 0.0538266227, 0.410349458, 0.530603707, -0.475474328], [0.793884932, 0.0597391278, 0.394458085, -0.200465024, 0.119193748, 0.0862519219, 0.0558392256, 0.277714282], [0.211720616, -0.279424548, -0.013026664, 0.241038829, 0.228574768, -0.0782907754, -0.061683096, -0.023613289], [-0.308726817, -3.636690e-01, 0.493386656, -0.0959486737, 0.0512050651, -0.201815337, 0.411833525, 0.548290253], [-0.0433755443, 0.176923454, -0.203896686, 0.552104294, 0.30034259, -0.229385599, 0.396952033, 0.130576432], [0.146611795, 0.129674032, -0.178281739, -0.139209926, 0.208862662, 0.00705106277, -0.262743294, 0.63100475], [-0.0414345302, -0.146522522, -0.188154519, 0.228131533, 0.313399702, 0.0946185142, 0.281527519, -0.42904374]]> : tensor<8x8xf32>
  onnx.initializer @w178 : tensor<8x8xf32> = dense<[[-0.0909405648, -0.120711721, 0.0218030047, 0.166596338, -5.920340e-01, 0.957381367, -0.24079676, 0.122576363], [0.267199844, 0.27397269, 0.0904588401, -0.855311632, -0.308825463, 0.244513407, -0.260175735, -0.301020622], [-0.691486597, 0.37997067, 0.166958258, -0.254692376, -0.027281126, -0.0183088817, -0.323750287, -0.071728304], [0.0861742123, 0.175128222, 0.388699353, 0.0171144586, -0.130725369, 0.128383458, -0.18163754, -0.368520558], [0.349745214, -0.107898757, 0.0425665751, 0.201031342, -0.326250643, 0.198321179, 0.141002342, -0.0236085597], [0.12414857, -0.221272603, -0.655988336, -0.079326339, -0.267784774, 0.266102344, 0.0848520919, -0.15348351], [0.0196785294, 0.411325604, 0.345919907, 0.116070665, 0.134557918, -0.0781224146, -0.0338589735, 0.182000816], [-0.0306553952, 0.0948404223, -0.329677135, -0.495696962, -0.504807353, -0.126379743, 0.403287202, 0.359878749]]> : tensor<8x8xf32>
  func.func @main_graph(%arg0: tensor<?x?x8xf32, #onnx.dims<"B", "S", "">> {onnx.name = "x"}) -> (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">> {onnx.name = "y"}) {
    %0 = onnx.weight @zero : tensor<i64>
    %1 = onnx.weight @one : tensor<i64>
    %2 = onnx.weight @low : tensor<f32>
    %3 = onnx.weight @none : tensor<f32>
    %4 = onnx.weight @half : tensor<f32>
    %5 = onnx.weight @sqrt : tensor<f32>
    %6 = onnx.weight @bias : tensor<4x1x1xf32>
    %7 = onnx.weight @w1 : tensor<8x8xf32>
    %8 = onnx.weight @c3 : tensor<4xi64>
    %9 = onnx.weight @w6 : tensor<8x4xf32>
    %10 = onnx.weight @w8 : tensor<4xf32>
    %11 = onnx.weight @c10 : tensor<4xi64>
    %12 = onnx.weight @c12 : tensor<1xi64>
    %13 = onnx.weight @c14 : tensor<5xi64>
    %14 = onnx.weight @c17 : tensor<1xi64>
    %15 = onnx.weight @c20 : tensor<4xi64>
    %16 = onnx.weight @w25 : tensor<8x4xf32>
    %17 = onnx.weight @w27 : tensor<4xf32>
    %18 = onnx.weight @c33 : tensor<1xi64>
    %19 = onnx.weight @c36 : tensor<4xi64>
    %20 = onnx.weight @c40 : tensor<3xi64>
    %21 = onnx.weight @w42 : tensor<8x8xf32>
    %22 = onnx.weight @w45 : tensor<8x8xf32>
    %23 = onnx.weight @w49 : tensor<8x4xf32>
    %24 = onnx.weight @w51 : tensor<4xf32>
    %25 = onnx.weight @c54 : tensor<4xi64>
    %26 = onnx.weight @w61 : tensor<8x4xf32>
    %27 = onnx.weight @w63 : tensor<4xf32>
    %28 = onnx.weight @w71 : tensor<8x8xf32>
    %29 = onnx.weight @w74 : tensor<8x8xf32>
    %30 = onnx.weight @w78 : tensor<8x4xf32>
    %31 = onnx.weight @w80 : tensor<4xf32>
    %32 = onnx.weight @c84 : tensor<4xi64>
    %33 = onnx.weight @w91 : tensor<8x4xf32>
    %34 = onnx.weight @w93 : tensor<4xf32>
    %35 = onnx.weight @w101 : tensor<8x8xf32>
    %36 = onnx.weight @w104 : tensor<8x8xf32>
    %37 = onnx.weight @c107 : tensor<5xi64>
    %38 = onnx.weight @c109 : tensor<1xi64>
    %39 = onnx.weight @c112 : tensor<4xi64>
    %40 = onnx.weight @w114 : tensor<8x4xf32>
    %41 = onnx.weight @w118 : tensor<8x4xf32>
    %42 = onnx.weight @c123 : tensor<1xi64>
    %43 = onnx.weight @c130 : tensor<1xi64>
    %44 = onnx.weight @c138 : tensor<3xi64>
    %45 = onnx.weight @c143 : tensor<1xi64>
    %46 = onnx.weight @w155 : tensor<8x8xf32>
    %47 = onnx.weight @w158 : tensor<8x8xf32>
    %48 = onnx.weight @w162 : tensor<8x8xf32>
    %49 = onnx.weight @w171 : tensor<8x8xf32>
    %50 = onnx.weight @w178 : tensor<8x8xf32>
    %51 = onnx.node "MatMul"(%arg0, %7) fields {result_names = ["v2"]} : (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>, tensor<8x8xf32>) -> !onnx.any
    %52 = onnx.node "Reshape"(%51, %8) fields {result_names = ["v4"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %53 = onnx.node "Transpose"(%52) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v5"]} : (!onnx.any) -> !onnx.any
    %54 = onnx.node "MatMul"(%arg0, %9) fields {result_names = ["v7"]} : (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>, tensor<8x4xf32>) -> !onnx.any
    %55 = onnx.node "Add"(%54, %10) fields {result_names = ["v9"]} : (!onnx.any, tensor<4xf32>) -> !onnx.any
    %56 = onnx.node "Reshape"(%55, %11) fields {result_names = ["v11"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %57 = onnx.node "Unsqueeze"(%56, %12) fields {result_names = ["v13"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %58 = onnx.node "Tile"(%57, %13) fields {result_names = ["v15"]} : (!onnx.any, tensor<5xi64>) -> !onnx.any
    %59 = onnx.node "Reshape"(%58, %8) fields {result_names = ["v16"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %60 = onnx.node "Unsqueeze"(%59, %14) fields {result_names = ["v18"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %61 = onnx.node "Transpose"(%60) {perm = array<i64: 0, 3, 4, 1, 2>} fields {result_names = ["v19"]} : (!onnx.any) -> !onnx.any
    %62 = onnx.node "Reshape"(%61, %15) fields {result_names = ["v21"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %63 = onnx.node "MatMul"(%53, %62) fields {result_names = ["v22"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %64 = onnx.node "Div"(%63, %5) fields {result_names = ["v23"]} : (!onnx.any, tensor<f32>) -> !onnx.any
    %65 = onnx.node "Softmax"(%64) {axis = -1 : i64} fields {result_names = ["v24"]} : (!onnx.any) -> !onnx.any
    %66 = onnx.node "MatMul"(%arg0, %16) fields {result_names = ["v26"]} : (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>, tensor<8x4xf32>) -> !onnx.any
    %67 = onnx.node "Add"(%66, %17) fields {result_names = ["v28"]} : (!onnx.any, tensor<4xf32>) -> !onnx.any
    %68 = onnx.node "Reshape"(%67, %11) fields {result_names = ["v29"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %69 = onnx.node "Unsqueeze"(%68, %12) fields {result_names = ["v30"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %70 = onnx.node "Tile"(%69, %13) fields {result_names = ["v31"]} : (!onnx.any, tensor<5xi64>) -> !onnx.any
    %71 = onnx.node "Reshape"(%70, %8) fields {result_names = ["v32"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %72 = onnx.node "Unsqueeze"(%71, %18) fields {result_names = ["v34"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %73 = onnx.node "Transpose"(%72) {perm = array<i64: 0, 3, 1, 2, 4>} fields {result_names = ["v35"]} : (!onnx.any) -> !onnx.any
    %74 = onnx.node "Reshape"(%73, %19) fields {result_names = ["v37"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %75 = onnx.node "MatMul"(%65, %74) fields {result_names = ["v38"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %76 = onnx.node "Transpose"(%75) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v39"]} : (!onnx.any) -> !onnx.any
    %77 = onnx.node "Reshape"(%76, %20) fields {result_names = ["v41"]} : (!onnx.any, tensor<3xi64>) -> !onnx.any
    %78 = onnx.node "MatMul"(%77, %21) fields {result_names = ["v43"]} : (!onnx.any, tensor<8x8xf32>) -> !onnx.any
    %79 = onnx.node "Add"(%arg0, %78) fields {result_names = ["v44"]} : (tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>, !onnx.any) -> !onnx.any
    %80 = onnx.node "MatMul"(%79, %22) fields {result_names = ["v46"]} : (!onnx.any, tensor<8x8xf32>) -> !onnx.any
    %81 = onnx.node "Reshape"(%80, %8) fields {result_names = ["v47"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %82 = onnx.node "Transpose"(%81) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v48"]} : (!onnx.any) -> !onnx.any
    %83 = onnx.node "MatMul"(%79, %23) fields {result_names = ["v50"]} : (!onnx.any, tensor<8x4xf32>) -> !onnx.any
    %84 = onnx.node "Add"(%83, %24) fields {result_names = ["v52"]} : (!onnx.any, tensor<4xf32>) -> !onnx.any
    %85 = onnx.node "Reshape"(%84, %11) fields {result_names = ["v53"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %86 = onnx.node "Gather"(%85, %25) {axis = 2 : i64} fields {result_names = ["v55"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %87 = onnx.node "Transpose"(%86) {perm = array<i64: 0, 2, 3, 1>} fields {result_names = ["v56"]} : (!onnx.any) -> !onnx.any
    %88 = onnx.node "MatMul"(%82, %87) fields {result_names = ["v57"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %89 = onnx.node "Div"(%88, %5) fields {result_names = ["v58"]} : (!onnx.any, tensor<f32>) -> !onnx.any
    %90 = onnx.node "Add"(%89, %6) fields {result_names = ["v59"]} : (!onnx.any, tensor<4x1x1xf32>) -> !onnx.any
    %91 = onnx.node "Softmax"(%90) {axis = -1 : i64} fields {result_names = ["v60"]} : (!onnx.any) -> !onnx.any
    %92 = onnx.node "MatMul"(%79, %26) fields {result_names = ["v62"]} : (!onnx.any, tensor<8x4xf32>) -> !onnx.any
    %93 = onnx.node "Add"(%92, %27) fields {result_names = ["v64"]} : (!onnx.any, tensor<4xf32>) -> !onnx.any
    %94 = onnx.node "Reshape"(%93, %11) fields {result_names = ["v65"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %95 = onnx.node "Gather"(%94, %25) {axis = 2 : i64} fields {result_names = ["v66"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %96 = onnx.node "Transpose"(%95) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v67"]} : (!onnx.any) -> !onnx.any
    %97 = onnx.node "MatMul"(%91, %96) fields {result_names = ["v68"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %98 = onnx.node "Transpose"(%97) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v69"]} : (!onnx.any) -> !onnx.any
    %99 = onnx.node "Reshape"(%98, %20) fields {result_names = ["v70"]} : (!onnx.any, tensor<3xi64>) -> !onnx.any
    %100 = onnx.node "MatMul"(%99, %28) fields {result_names = ["v72"]} : (!onnx.any, tensor<8x8xf32>) -> !onnx.any
    %101 = onnx.node "Add"(%79, %100) fields {result_names = ["v73"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %102 = onnx.node "MatMul"(%101, %29) fields {result_names = ["v75"]} : (!onnx.any, tensor<8x8xf32>) -> !onnx.any
    %103 = onnx.node "Reshape"(%102, %8) fields {result_names = ["v76"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %104 = onnx.node "Transpose"(%103) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v77"]} : (!onnx.any) -> !onnx.any
    %105 = onnx.node "MatMul"(%101, %30) fields {result_names = ["v79"]} : (!onnx.any, tensor<8x4xf32>) -> !onnx.any
    %106 = onnx.node "Add"(%105, %31) fields {result_names = ["v81"]} : (!onnx.any, tensor<4xf32>) -> !onnx.any
    %107 = onnx.node "Reshape"(%106, %11) fields {result_names = ["v82"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %108 = onnx.node "Transpose"(%107) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v83"]} : (!onnx.any) -> !onnx.any
    %109 = onnx.node "Tile"(%108, %32) fields {result_names = ["v85"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %110 = onnx.node "Transpose"(%109) {perm = array<i64: 0, 1, 3, 2>} fields {result_names = ["v86"]} : (!onnx.any) -> !onnx.any
    %111 = onnx.node "MatMul"(%104, %110) fields {result_names = ["v87"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %112 = onnx.node "Div"(%111, %5) fields {result_names = ["v88"]} : (!onnx.any, tensor<f32>) -> !onnx.any
    %113 = onnx.node "Add"(%112, %6) fields {result_names = ["v89"]} : (!onnx.any, tensor<4x1x1xf32>) -> !onnx.any
    %114 = onnx.node "Softmax"(%113) {axis = -1 : i64} fields {result_names = ["v90"]} : (!onnx.any) -> !onnx.any
    %115 = onnx.node "MatMul"(%101, %33) fields {result_names = ["v92"]} : (!onnx.any, tensor<8x4xf32>) -> !onnx.any
    %116 = onnx.node "Add"(%115, %34) fields {result_names = ["v94"]} : (!onnx.any, tensor<4xf32>) -> !onnx.any
    %117 = onnx.node "Reshape"(%116, %11) fields {result_names = ["v95"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %118 = onnx.node "Transpose"(%117) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v96"]} : (!onnx.any) -> !onnx.any
    %119 = onnx.node "Tile"(%118, %32) fields {result_names = ["v97"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %120 = onnx.node "MatMul"(%114, %119) fields {result_names = ["v98"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %121 = onnx.node "Transpose"(%120) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v99"]} : (!onnx.any) -> !onnx.any
    %122 = onnx.node "Reshape"(%121, %20) fields {result_names = ["v100"]} : (!onnx.any, tensor<3xi64>) -> !onnx.any
    %123 = onnx.node "MatMul"(%122, %35) fields {result_names = ["v102"]} : (!onnx.any, tensor<8x8xf32>) -> !onnx.any
    %124 = onnx.node "Add"(%101, %123) fields {result_names = ["v103"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %125 = onnx.node "MatMul"(%124, %36) fields {result_names = ["v105"]} : (!onnx.any, tensor<8x8xf32>) -> !onnx.any
    %126 = onnx.node "Reshape"(%125, %8) fields {result_names = ["v106"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %127 = onnx.node "Reshape"(%126, %37) fields {result_names = ["v108"]} : (!onnx.any, tensor<5xi64>) -> !onnx.any
    %128 = onnx.node "Unsqueeze"(%127, %38) fields {result_names = ["v110"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %129 = onnx.node "Transpose"(%128) {perm = array<i64: 0, 2, 3, 1, 4, 5>} fields {result_names = ["v111"]} : (!onnx.any) -> !onnx.any
    %130 = onnx.node "Reshape"(%129, %39) fields {result_names = ["v113"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %131 = onnx.node "MatMul"(%124, %40) fields {result_names = ["v115"]} : (!onnx.any, tensor<8x4xf32>) -> !onnx.any
    %132 = onnx.node "Reshape"(%131, %11) fields {result_names = ["v116"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %133 = onnx.node "Transpose"(%132) {perm = array<i64: 0, 2, 3, 1>} fields {result_names = ["v117"]} : (!onnx.any) -> !onnx.any
    %134 = onnx.node "MatMul"(%124, %41) fields {result_names = ["v119"]} : (!onnx.any, tensor<8x4xf32>) -> !onnx.any
    %135 = onnx.node "Reshape"(%134, %11) fields {result_names = ["v120"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %136 = onnx.node "Transpose"(%135) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v121"]} : (!onnx.any) -> !onnx.any
    %137 = onnx.node "Shape"(%124) fields {result_names = ["v122"]} : (!onnx.any) -> !onnx.any
    %138 = onnx.node "Slice"(%137, %42, %14) fields {result_names = ["v124"]} : (!onnx.any, tensor<1xi64>, tensor<1xi64>) -> !onnx.any
    %139 = onnx.node "Shape"(%124) fields {result_names = ["v125"]} : (!onnx.any) -> !onnx.any
    %140 = onnx.node "Slice"(%139, %14, %18) fields {result_names = ["v126"]} : (!onnx.any, tensor<1xi64>, tensor<1xi64>) -> !onnx.any
    %141 = onnx.node "MatMul"(%130, %133) fields {result_names = ["v127"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %142 = onnx.node "Concat"(%138, %18, %18, %140, %140, %14) {axis = 0 : i64} fields {result_names = ["v128"]} : (!onnx.any, tensor<1xi64>, tensor<1xi64>, !onnx.any, !onnx.any, tensor<1xi64>) -> !onnx.any
    %143 = onnx.node "Reshape"(%141, %142) fields {result_names = ["v129"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %144 = onnx.node "Squeeze"(%143, %43) fields {result_names = ["v131"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %145 = onnx.node "Squeeze"(%140) fields {result_names = ["v132"]} : (!onnx.any) -> !onnx.any
    %146 = onnx.node "Range"(%0, %145, %1) fields {result_names = ["v133"]} : (tensor<i64>, !onnx.any, tensor<i64>) -> !onnx.any
    %147 = onnx.node "Unsqueeze"(%146, %14) fields {result_names = ["v134"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %148 = onnx.node "Squeeze"(%140) fields {result_names = ["v135"]} : (!onnx.any) -> !onnx.any
    %149 = onnx.node "Range"(%0, %148, %1) fields {result_names = ["v136"]} : (tensor<i64>, !onnx.any, tensor<i64>) -> !onnx.any
    %150 = onnx.node "GreaterOrEqual"(%147, %149) fields {result_names = ["v137"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %151 = onnx.node "Unsqueeze"(%150, %44) fields {result_names = ["v139"]} : (!onnx.any, tensor<3xi64>) -> !onnx.any
    %152 = onnx.node "Where"(%151, %144, %2) fields {result_names = ["v140"]} : (!onnx.any, !onnx.any, tensor<f32>) -> !onnx.any
    %153 = onnx.node "Softmax"(%152) {axis = -1 : i64} fields {result_names = ["v141"]} : (!onnx.any) -> !onnx.any
    %154 = onnx.node "Where"(%151, %153, %3) fields {result_names = ["v142"]} : (!onnx.any, !onnx.any, tensor<f32>) -> !onnx.any
    %155 = onnx.node "Concat"(%138, %18, %45, %140) {axis = 0 : i64} fields {result_names = ["v144"]} : (!onnx.any, tensor<1xi64>, tensor<1xi64>, !onnx.any) -> !onnx.any
    %156 = onnx.node "Reshape"(%154, %155) fields {result_names = ["v145"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %157 = onnx.node "MatMul"(%156, %136) fields {result_names = ["v146"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %158 = onnx.node "Concat"(%138, %18, %18, %140, %18) {axis = 0 : i64} fields {result_names = ["v147"]} : (!onnx.any, tensor<1xi64>, tensor<1xi64>, !onnx.any, tensor<1xi64>) -> !onnx.any
    %159 = onnx.node "Reshape"(%157, %158) fields {result_names = ["v148"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %160 = onnx.node "Cast"(%151) {to = 1 : i64} fields {result_names = ["v149"]} : (!onnx.any) -> !onnx.any
    %161 = onnx.node "ReduceSum"(%160, %45) {keepdims = 1 : i64} fields {result_names = ["v150"]} : (!onnx.any, tensor<1xi64>) -> !onnx.any
    %162 = onnx.node "Equal"(%161, %3) fields {result_names = ["v151"]} : (!onnx.any, tensor<f32>) -> !onnx.any
    %163 = onnx.node "Where"(%162, %3, %159) fields {result_names = ["v152"]} : (!onnx.any, tensor<f32>, !onnx.any) -> !onnx.any
    %164 = onnx.node "Transpose"(%163) {perm = array<i64: 0, 3, 1, 2, 4>} fields {result_names = ["v153"]} : (!onnx.any) -> !onnx.any
    %165 = onnx.node "Reshape"(%164, %20) fields {result_names = ["v154"]} : (!onnx.any, tensor<3xi64>) -> !onnx.any
    %166 = onnx.node "MatMul"(%165, %46) fields {result_names = ["v156"]} : (!onnx.any, tensor<8x8xf32>) -> !onnx.any
    %167 = onnx.node "Add"(%124, %166) fields {result_names = ["v157"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %168 = onnx.node "MatMul"(%167, %47) fields {result_names = ["v159"]} : (!onnx.any, tensor<8x8xf32>) -> !onnx.any
    %169 = onnx.node "Reshape"(%168, %8) fields {result_names = ["v160"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %170 = onnx.node "Transpose"(%169) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v161"]} : (!onnx.any) -> !onnx.any
    %171 = onnx.node "MatMul"(%167, %48) fields {result_names = ["v163"]} : (!onnx.any, tensor<8x8xf32>) -> !onnx.any
    %172 = onnx.node "Reshape"(%171, %8) fields {result_names = ["v164"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %173 = onnx.node "Transpose"(%172) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v165"]} : (!onnx.any) -> !onnx.any
    %174 = onnx.node "Einsum"(%170, %173) {equation = "b h i d, b h j d -> b h i j"} fields {result_names = ["v166"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %175 = onnx.node "Mul"(%174, %5) fields {result_names = ["v167"]} : (!onnx.any, tensor<f32>) -> !onnx.any
    %176 = onnx.node "Sigmoid"(%175) fields {result_names = ["v168"]} : (!onnx.any) -> !onnx.any
    %177 = onnx.node "Sub"(%176, %4) fields {result_names = ["v169"]} : (!onnx.any, tensor<f32>) -> !onnx.any
    %178 = onnx.node "Relu"(%177) fields {result_names = ["v170"]} : (!onnx.any) -> !onnx.any
    %179 = onnx.node "MatMul"(%167, %49) fields {result_names = ["v172"]} : (!onnx.any, tensor<8x8xf32>) -> !onnx.any
    %180 = onnx.node "Reshape"(%179, %8) fields {result_names = ["v173"]} : (!onnx.any, tensor<4xi64>) -> !onnx.any
    %181 = onnx.node "Transpose"(%180) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v174"]} : (!onnx.any) -> !onnx.any
    %182 = onnx.node "Einsum"(%178, %181) {equation = "bhij,bhjd->bhid"} fields {result_names = ["v175"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %183 = onnx.node "Transpose"(%182) {perm = array<i64: 0, 2, 1, 3>} fields {result_names = ["v176"]} : (!onnx.any) -> !onnx.any
    %184 = onnx.node "Reshape"(%183, %20) fields {result_names = ["v177"]} : (!onnx.any, tensor<3xi64>) -> !onnx.any
    %185 = onnx.node "MatMul"(%184, %50) fields {result_names = ["v179"]} : (!onnx.any, tensor<8x8xf32>) -> !onnx.any
    %186 = onnx.node "Add"(%167, %185) fields {result_names = ["v180"]} : (!onnx.any, !onnx.any) -> !onnx.any
    %187 = onnx.node "Identity"(%186) fields {result_names = ["y"]} : (!onnx.any) -> tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>
    return %187 : tensor<?x?x8xf32, #onnx.dims<"B", "S", "">>
  }
}

